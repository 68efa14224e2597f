#include "harness/inspect/boundaries.h"

#include "harness/core/packing.h"
#include "harness/core/tensor.h"
#include "harness/inspect/positions.h"

#include <algorithm>

namespace packproof {
namespace {

/// Packing calls every list of offsets cu_seqlens; the sentence names the key that it came from.
std::string under_key(const std::string& sentence, const std::string& key) {
  constexpr std::string_view kOwnName = "cu_seqlens";
  return sentence.starts_with(kOwnName) ? key + sentence.substr(kOwnName.size())
                                        : key + ": " + sentence;
}

BoundaryView of_offsets(const Batch& batch, const std::string& key, BatchBoundaries& result) {
  BoundaryView view{key, std::nullopt, kNotGiven};
  const BatchField* field = find(batch, key);
  if (field == nullptr) return view;
  const Result<Packing> packing = Packing::from_cu_seqlens(field->values, result.length);
  if (!packing.ok()) {
    view.remark = kUnusable;
    result.unusable.push_back(under_key(packing.error().message, key));
    return view;
  }
  view.lengths.emplace(packing->lengths().begin(), packing->lengths().end());
  view.remark.clear();
  if (packing->slack() > 0) {
    view.remark = std::to_string(packing->slack()) + " tokens after the last boundary";
    result.unusable.push_back(key + "[" + std::to_string(packing->num_seqs()) + "]: expected " +
                              std::to_string(result.length) + " (the end of the row), found " +
                              std::to_string(packing->total_tokens()) +
                              ": kernels leave the tokens after it unwritten");
  }
  return view;
}

BoundaryView of_ids(const Batch& batch, BatchBoundaries& result) {
  BoundaryView view{"seq_idx", std::nullopt, kNotGiven};
  const BatchField* field = find(batch, "seq_idx");
  if (field == nullptr) return view;
  view.remark = kUnusable;
  if (!is_per_token(*field, result)) {
    result.unusable.push_back("seq_idx: expected one id per token, shape " +
                              shape_text({1, result.length}) + ", found " +
                              shape_text(field->shape));
    return view;
  }
  const Result<Packing> packing = Packing::from_seq_idx(field->values);
  if (!packing.ok()) {
    result.unusable.push_back(packing.error().message);
    return view;
  }
  view.lengths.emplace(packing->lengths().begin(), packing->lengths().end());
  view.remark.clear();
  if (packing->slack() > 0) {
    const int64_t first = packing->total_tokens();
    view.remark = std::to_string(packing->slack()) + " tokens in no sequence";
    result.unusable.push_back("seq_idx[" + std::to_string(first) +
                              "]: expected an id of at least 0, found " +
                              std::to_string(field->values[static_cast<std::size_t>(first)]) +
                              ": the convolution writes zeros from there on");
  }
  return view;
}

/// Some trainers number the sequences of a packed row in the mask, for attention alone.
void read_mask(const Batch& batch, BatchBoundaries& result) {
  const BatchField* mask = find(batch, "attention_mask");
  if (mask == nullptr || !is_per_token(*mask, result)) return;
  const auto other = std::ranges::find_if(mask->values, [](int64_t m) { return m != 0 && m != 1; });
  if (other == mask->values.end()) return;
  const auto place = other - mask->values.begin();
  result.unusable.push_back(
      "attention_mask: expected 0 for a pad and 1 for a token, found " + std::to_string(*other) +
      " at row " + std::to_string(place / result.length) + ", token " +
      std::to_string(place % result.length) +
      ": segment ids of packed sequences, which no kernel follows unless they are turned into "
      "seq_idx and cu_seq_lens_q");
}

bool says_several(const BoundaryView& view) {
  return view.lengths.has_value() && non_empty(*view.lengths).size() > 1;
}

}  // namespace

const BatchField* find(const Batch& batch, const std::string& key) {
  const auto found = batch.find(key);
  return found == batch.end() ? nullptr : &found->second;
}

bool is_per_token(const BatchField& field, const BatchBoundaries& b) {
  const bool shaped = field.shape == std::vector{b.rows, b.length} ||
                      (b.rows == 1 && field.shape == std::vector{b.length});
  return shaped && static_cast<int64_t>(field.values.size()) == b.rows * b.length;
}

std::vector<int64_t> non_empty(const std::vector<int64_t>& lengths) {
  std::vector<int64_t> result;
  std::ranges::copy_if(lengths, std::back_inserter(result), [](int64_t n) { return n > 0; });
  return result;
}

bool same_boundaries(const BoundaryView& a, const BoundaryView& b) {
  return a.lengths.has_value() && b.lengths.has_value() &&
         non_empty(*a.lengths) == non_empty(*b.lengths);
}

Result<BatchBoundaries> read_boundaries(const Batch& batch) {
  const BatchField* ids = find(batch, "input_ids");
  if (ids == nullptr) return invalid_input("expected a batch with input_ids, found none");
  if (ids->shape.empty() || ids->shape.size() > 2) {
    return invalid_input("input_ids: expected shape [B, L], found " +
                         std::to_string(ids->shape.size()) + " axes");
  }
  BatchBoundaries result;
  result.rows = ids->shape.size() == 2 ? ids->shape[0] : 1;
  result.length = ids->shape.back();
  read_mask(batch, result);
  read_positions(batch, result);
  if (result.rows != 1) return result;
  result.cu_seq_lens_q = of_offsets(batch, "cu_seq_lens_q", result);
  result.cu_seq_lens_k = of_offsets(batch, "cu_seq_lens_k", result);
  result.cu_seqlens = of_offsets(batch, "cu_seqlens", result);
  result.seq_idx = of_ids(batch, result);
  for (const BoundaryView* view : {&result.cu_seq_lens_q, &result.cu_seqlens, &result.seq_idx,
                                   &result.cu_seq_lens_k, &result.flash_rule, &result.mask_rule}) {
    if (!result.intended.has_value() && says_several(*view)) result.intended = *view;
  }
  return result;
}

}  // namespace packproof
