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
constexpr std::size_t kReadBlock = 32768;
/// From here on a thread is worth its start.
constexpr int64_t kBlocksForThreads = 4;

/// x - x is 0 for what is finite, else NaN. Eight sums side by side, as vectors hold them.
bool all_finite(std::span<const double> values) {
  constexpr std::size_t kSums = 8;
  double sums[kSums] = {};
  std::size_t i = 0;
  for (; i + kSums <= values.size(); i += kSums) {
    for (std::size_t j = 0; j < kSums; ++j) sums[j] += values[i + j] - values[i + j];
  }
  for (; i < values.size(); ++i) sums[0] += values[i] - values[i];
  double total = 0.0;
  for (const double sum : sums) total += sum;
  return total == 0.0;
}

/// Elements of `tensor` from the row-major index `begin` on, as many as `values` takes.
void convert(const Tensor& tensor, std::size_t begin, std::span<double> values) {
  if (tensor.is_contiguous() && tensor.dtype() == DType::kF32) {
    std::ranges::copy(tensor.values<float>().subspan(begin, values.size()), values.begin());
  } else if (tensor.is_contiguous() && tensor.dtype() == DType::kF64) {
    std::ranges::copy(tensor.values<double>().subspan(begin, values.size()), values.begin());
  } else {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = tensor.at(static_cast<int64_t>(begin + i));
    }
  }
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

Status OpCallReader::read(const std::string& name, const Tensor& tensor, const OwnedRows& owned,
                          std::span<double> values) const {
  if (values.empty()) return {};
  const std::size_t rows = owned.empty() ? values.size() : owned.size();
  const std::size_t per_row = values.size() / rows;
  const auto is_owned = [&](std::size_t row) { return owned.empty() || owned[row]; };
  const std::size_t rows_per_block = std::max<std::size_t>(1, kReadBlock / per_row);
  const auto blocks = static_cast<int64_t>((rows + rows_per_block - 1) / rows_per_block);
  std::atomic<bool> finite{true};
  run_parallel(blocks, blocks < kBlocksForThreads ? 1 : 0, [&](int64_t block) {
    const std::size_t end = std::min(rows, (static_cast<std::size_t>(block) + 1) * rows_per_block);
    std::size_t row = static_cast<std::size_t>(block) * rows_per_block;
    while (row < end) {
      std::size_t next = row + 1;
      while (next < end && is_owned(next) == is_owned(row)) ++next;
      const std::span<double> part = values.subspan(row * per_row, (next - row) * per_row);
      if (is_owned(row)) {
        convert(tensor, row * per_row, part);
        if (!all_finite(part)) finite = false;
      } else {
        std::fill(part.begin(), part.end(), 0.0);
      }
      row = next;
    }
  });
  if (finite) return {};
  const auto bad = std::ranges::find_if_not(values, [](double x) { return std::isfinite(x); });
  return refusal("expected finite values in '" + name + "', found " +
                 (std::isnan(*bad) ? "NaN" : "an infinity") + " at " +
                 place_of(bad - values.begin(), tensor.shape()));
}

Result<Tensor> OpCallReader::values(const std::string& name, const std::vector<int64_t>& shape,
                                    const OwnedRows& owned) const {
  PACKPROOF_TRY(const Tensor* const tensor, floating_input(name, shape));
  Tensor result(DType::kF64, shape);
  PACKPROOF_CHECK_OK(read(name, *tensor, owned, result.values<double>()));
  return result;
}

Result<TokenValues> OpCallReader::token_values(const std::string& name,
                                               const std::vector<int64_t>& shape,
                                               const OwnedRows& owned) const {
  PACKPROOF_TRY(const Tensor* const tensor, floating_input(name, shape));
  TokenValues result(shape);
  PACKPROOF_CHECK_OK(read(name, *tensor, owned, result.values()));
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
