#include "reference/op_call_reader.h"

#include "harness/core/packing.h"
#include "reference/parallel.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <set>
#include <utility>

namespace packproof::reference {
namespace {

/// Elements that one task reads, converts and checks while they are in the cache.
constexpr int64_t kReadBlock = 32768;
/// From here on a thread is worth its start.
constexpr int64_t kBlocksForThreads = 4;

/// Whether `check(begin, count)` holds for the elements of all owned rows, a run of neighbouring
/// ones at a time; large tensors are shared out to all cores.
template <typename Check>
bool holds_for_owned(const Tensor& tensor, const OwnedRows& owned, const Check& check) {
  const int64_t count = tensor.numel();
  if (count == 0) return true;
  const int64_t rows = owned.empty() ? count : static_cast<int64_t>(owned.size());
  const int64_t per_row = count / rows;
  const auto is_owned = [&](int64_t row) {
    return owned.empty() || owned[static_cast<std::size_t>(row)];
  };
  const int64_t rows_per_block = std::max<int64_t>(1, kReadBlock / per_row);
  const int64_t blocks = (rows + rows_per_block - 1) / rows_per_block;
  std::atomic<bool> holds{true};
  run_parallel(blocks, blocks < kBlocksForThreads ? 1 : 0, [&](int64_t block) {
    const int64_t end = std::min(rows, (block + 1) * rows_per_block);
    int64_t row = block * rows_per_block;
    while (row < end) {
      int64_t next = row + 1;
      while (next < end && is_owned(next) == is_owned(row)) ++next;
      if (is_owned(row) && !check(row * per_row, (next - row) * per_row)) holds = false;
      row = next;
    }
  });
  return holds;
}

std::string place_of(int64_t linear, const std::vector<int64_t>& shape) {
  std::vector<int64_t> place(shape.size());
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    place[axis] = linear % shape[axis];
    linear /= shape[axis];
  }
  return shape_text(place);
}

}  // namespace

Error OpCallReader::refusal(const std::string& sentence) const {
  return invalid_input(std::string(name_of(call_.op)) + " " +
                       std::string(name_of(call_.direction)) + ": " + sentence);
}

Status OpCallReader::check_names() const {
  if (schema_of(call_.op, call_.direction).empty()) {
    return refusal("expected a direction that the op has, found one without tensors");
  }
  for (const auto& [name, tensor] : call_.inputs) {
    if (find_schema(call_.op, call_.direction, name, false) == nullptr) {
      return refusal("expected inputs of the op, found '" + name + "', which it does not have");
    }
  }
  for (const auto& [name, spec] : call_.outputs) {
    if (find_schema(call_.op, call_.direction, name, true) == nullptr) {
      return refusal("expected outputs of the op, found '" + name + "', which it does not have");
    }
  }
  if (call_.outputs.empty()) return refusal("expected at least one output to compute, found none");
  return {};
}

Result<const Tensor*> OpCallReader::input(const std::string& name) const {
  const auto found = call_.inputs.find(name);
  if (found == call_.inputs.end()) {
    return refusal("expected an input '" + name + "', found none");
  }
  return &found->second;
}

Result<std::vector<int64_t>> OpCallReader::shape(const std::string& name, int64_t rank) const {
  PACKPROOF_TRY(const Tensor* const tensor, input(name));
  if (tensor->rank() != rank) {
    return refusal("expected '" + name + "' with " + std::to_string(rank) +
                   " axes, found the shape " + shape_text(tensor->shape()));
  }
  return tensor->shape();
}

Result<const Tensor*> OpCallReader::floating_input(const std::string& name,
                                                   const std::vector<int64_t>& shape) const {
  PACKPROOF_TRY(const Tensor* const tensor, input(name));
  if (tensor->shape() != shape) {
    return refusal("expected '" + name + "' of shape " + shape_text(shape) + ", found " +
                   shape_text(tensor->shape()));
  }
  if (!is_floating(tensor->dtype())) {
    return refusal("expected '" + name + "' of a floating dtype, found " +
                   std::string(name_of(tensor->dtype())));
  }
  return tensor;
}

Error OpCallReader::not_finite(const std::string& name, const Tensor& tensor,
                               const OwnedRows& owned) const {
  const int64_t per_row = owned.empty() ? 1 : tensor.numel() / static_cast<int64_t>(owned.size());
  int64_t place = 0;
  while (std::isfinite(tensor.at(place)) ||
         (!owned.empty() && !owned[static_cast<std::size_t>(place / per_row)])) {
    ++place;
  }
  return refusal("expected finite values in '" + name + "', found " +
                 (std::isnan(tensor.at(place)) ? "NaN" : "an infinity") + " at " +
                 place_of(place, tensor.shape()));
}

Result<Tensor> OpCallReader::values(const std::string& name, const std::vector<int64_t>& shape,
                                    const OwnedRows& owned) const {
  PACKPROOF_TRY(const Tensor* const tensor, floating_input(name, shape));
  Tensor result(DType::kF64, shape);
  double* const values = result.values<double>().data();
  const StoredValues stored(tensor->dtype(), tensor->bytes().data());
  const bool finite = holds_for_owned(*tensor, owned, [&](int64_t begin, int64_t count) {
    if (tensor->is_contiguous()) {
      stored.read(begin, count, values + begin);
      return stored.finite(begin, count);
    }
    for (int64_t i = begin; i < begin + count; ++i) values[i] = tensor->at(i);
    return StoredValues(values).finite(begin, count);
  });
  if (!finite) return not_finite(name, *tensor, owned);
  return result;
}

Result<TokenValues> OpCallReader::token_values(const std::string& name,
                                               const std::vector<int64_t>& shape,
                                               const OwnedRows& owned) const {
  PACKPROOF_TRY(const Tensor* const tensor, floating_input(name, shape));
  if (!tensor->is_contiguous()) {
    PACKPROOF_TRY(Tensor converted, values(name, shape, owned));
    return TokenValues::owning(std::move(converted));
  }
  TokenValues result = TokenValues::view_of(*tensor);
  const bool finite = holds_for_owned(*tensor, owned, [&](int64_t begin, int64_t count) {
    return result.stored().finite(begin, count);
  });
  if (!finite) return not_finite(name, *tensor, owned);
  return result;
}

Status OpCallReader::check_output(const std::string& name,
                                  const std::vector<int64_t>& shape) const {
  const auto found = call_.outputs.find(name);
  if (found != call_.outputs.end() && found->second.shape != shape) {
    return refusal("expected an output '" + name + "' of shape " + shape_text(shape) +
                   ", found a request for " + shape_text(found->second.shape));
  }
  return {};
}

Result<std::vector<int64_t>> OpCallReader::integers(const std::string& name,
                                                    const std::vector<int64_t>& shape) const {
  PACKPROOF_TRY(const Tensor* const tensor, input(name));
  if (is_floating(tensor->dtype())) {
    return refusal("expected '" + name + "' of an integer dtype, found " +
                   std::string(name_of(tensor->dtype())));
  }
  if (tensor->shape() != shape) {
    return refusal("expected '" + name + "' of shape " + shape_text(shape) + ", found " +
                   shape_text(tensor->shape()));
  }
  std::vector<int64_t> values;
  for (int64_t i = 0; i < tensor->numel(); ++i) values.push_back(tensor->int_at(i));
  return values;
}

Result<TokenPacking> OpCallReader::packing(int64_t batch, int64_t length) const {
  TokenPacking result;
  result.batch = batch;
  result.length = length;
  const bool with_boundaries = has("cu_seqlens");
  const bool with_ids = has("seq_idx");
  if ((with_boundaries || with_ids) && batch != 1) {
    return refusal("expected one batch row in a packed call, found " + std::to_string(batch));
  }
  if (with_ids) {
    PACKPROOF_TRY(result.seq_idx, integers("seq_idx", {batch, length}));
  }
  if (with_boundaries) {
    PACKPROOF_TRY(const std::vector<int64_t> shape, this->shape("cu_seqlens", 1));
    PACKPROOF_TRY(result.cu_seqlens, integers("cu_seqlens", shape));
    const Result<Packing> packing = Packing::from_cu_seqlens(result.cu_seqlens, length);
    if (!packing) return refusal("cu_seqlens: " + packing.error().message);
  } else if (with_ids) {
    const Result<Packing> packing = Packing::from_seq_idx(result.seq_idx);
    result.has_states = packing.ok();
    if (packing) {
      const std::span<const int64_t> boundaries = packing->cu_seqlens();
      result.cu_seqlens.assign(boundaries.begin(), boundaries.end());
    }
  }
  result.owned.assign(static_cast<std::size_t>(result.num_rows()), false);
  if (result.cu_seqlens.empty()) {
    for (int64_t b = 0; result.has_states && b < batch; ++b) {
      result.sequences.push_back({b * length, (b + 1) * length});
    }
    result.owned.assign(result.owned.size(), true);
  } else {
    for (std::size_t n = 0; n + 1 < result.cu_seqlens.size(); ++n) {
      result.sequences.push_back({result.cu_seqlens[n], result.cu_seqlens[n + 1]});
    }
    std::fill_n(result.owned.begin(), result.cu_seqlens.back(), true);
  }
  if (with_ids) {
    for (std::size_t row = 0; row < result.owned.size(); ++row) {
      result.owned[row] = result.seq_idx[row] >= 0;
    }
  }
  return result;
}

Result<std::vector<int64_t>> OpCallReader::slots(int64_t count, int64_t num_slots) const {
  std::vector<int64_t> result;
  if (has("state_indices")) {
    PACKPROOF_TRY(result, integers("state_indices", {count}));
  } else {
    for (int64_t n = 0; n < count; ++n) result.push_back(n);
  }
  std::set<int64_t> used;
  for (int64_t n = 0; n < count; ++n) {
    const int64_t slot = result[static_cast<std::size_t>(n)];
    if (slot < -1 || slot >= num_slots) {
      return refusal("expected a slot from -1 to " + std::to_string(num_slots - 1) +
                     " for sequence " + std::to_string(n) + ", found " + std::to_string(slot));
    }
    if (slot >= 0 && !used.insert(slot).second) {
      return refusal("expected every slot to be named once, found slot " + std::to_string(slot) +
                     " again at sequence " + std::to_string(n));
    }
  }
  return result;
}

}  // namespace packproof::reference
