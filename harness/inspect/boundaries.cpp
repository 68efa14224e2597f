#include "harness/inspect/boundaries.h"

#include "harness/core/packing.h"

#include <algorithm>

namespace packproof {
namespace {

const BatchField* find(const Batch& batch, const std::string& key) {
  const auto found = batch.find(key);
  return found == batch.end() ? nullptr : &found->second;
}

BoundaryView of_offsets(const Batch& batch, const std::string& key, int64_t tokens) {
  BoundaryView view{key, std::nullopt, {}};
  const BatchField* field = find(batch, key);
  if (field == nullptr) {
    view.remark = "not given";
    return view;
  }
  const Result<Packing> packing = Packing::from_cu_seqlens(field->values, tokens);
  if (!packing.ok()) {
    view.remark = packing.error().message;
    return view;
  }
  view.lengths.emplace(packing->lengths().begin(), packing->lengths().end());
  if (packing->slack() > 0) {
    view.remark = std::to_string(packing->slack()) + " tokens after the last boundary";
  }
  return view;
}

BoundaryView of_ids(const Batch& batch, int64_t tokens) {
  BoundaryView view{"seq_idx", std::nullopt, {}};
  const BatchField* field = find(batch, "seq_idx");
  if (field == nullptr) {
    view.remark = "not given";
    return view;
  }
  if (static_cast<int64_t>(field->values.size()) != tokens) {
    view.remark = "expected one id per token, found " + std::to_string(field->values.size());
    return view;
  }
  const Result<Packing> packing = Packing::from_seq_idx(field->values);
  if (!packing.ok()) {
    view.remark = packing.error().message;
    return view;
  }
  view.lengths.emplace(packing->lengths().begin(), packing->lengths().end());
  return view;
}

std::vector<int64_t> lengths_between(const std::vector<int64_t>& cu_seqlens) {
  std::vector<int64_t> lengths;
  for (std::size_t i = 0; i + 1 < cu_seqlens.size(); ++i) {
    lengths.push_back(cu_seqlens[i + 1] - cu_seqlens[i]);
  }
  return lengths;
}

/// Of sequences numbered from 0 row by row; one sequence when the rule saw no boundary.
std::vector<int64_t> lengths_of_index(const std::vector<int64_t>& index, int64_t tokens) {
  if (index.empty()) return {tokens};
  std::vector<int64_t> lengths(static_cast<std::size_t>(index.back() + 1), 0);
  for (const int64_t sequence : index) ++lengths[static_cast<std::size_t>(sequence)];
  return lengths;
}

/// The text row of position_ids: [B, L], or the first of four rows [4, B, L]; three rows have none.
std::optional<std::vector<int64_t>> text_positions(const BatchField& field, int64_t tokens,
                                                   std::string& remark) {
  const auto count = static_cast<int64_t>(field.values.size());
  if (field.shape.size() == 3 && field.shape[0] == 3) {
    remark = "three rows (M-RoPE) hold no text positions: no rule reads them";
    return std::nullopt;
  }
  const bool four = field.shape.size() == 3 && field.shape[0] == 4;
  if (count != (four ? 4 : 1) * tokens) {
    remark = "expected one position per token, found " + std::to_string(count);
    return std::nullopt;
  }
  return std::vector<int64_t>(field.values.begin(), field.values.begin() + tokens);
}

void read_positions(const Batch& batch, int64_t tokens, BatchBoundaries& result) {
  result.mask_rule = {"position_ids, eager and sdpa (a step other than +1)", std::nullopt, {}};
  result.flash_rule = {"position_ids, flash from 5.15 (equal to the minimum)", std::nullopt, {}};
  result.zero_rule = {"position_ids, flash before 5.15 (equal to 0)", std::nullopt, {}};
  const BatchField* field = find(batch, "position_ids");
  std::string remark = "not given";
  std::optional<std::vector<int64_t>> positions;
  if (field != nullptr) positions = text_positions(*field, tokens, remark);
  if (!positions.has_value() || tokens == 0) {
    result.mask_rule.remark = result.flash_rule.remark = result.zero_rule.remark = remark;
    return;
  }
  result.mask_rule.lengths = lengths_of_index(mask_rule_sequence_index(*positions), tokens);
  result.flash_rule.lengths = lengths_between(flash_rule_cu_seqlens(*positions));
  const int64_t least = *std::ranges::min_element(*positions);
  if (positions->front() != least) {
    result.flash_rule.remark = "tokens before the first boundary belong to no sequence";
  }
  // Before 5.15 the fallback looked for zeros: the same where they are the least positions.
  result.zero_rule.lengths = least == 0 ? *result.flash_rule.lengths : std::vector<int64_t>{tokens};
}

bool says_several(const BoundaryView& view) {
  return view.lengths.has_value() && non_empty(*view.lengths).size() > 1;
}

}  // namespace

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
  if (result.rows != 1) return result;
  const int64_t tokens = result.length;
  result.cu_seq_lens_q = of_offsets(batch, "cu_seq_lens_q", tokens);
  result.cu_seq_lens_k = of_offsets(batch, "cu_seq_lens_k", tokens);
  result.cu_seqlens = of_offsets(batch, "cu_seqlens", tokens);
  result.seq_idx = of_ids(batch, tokens);
  read_positions(batch, tokens, result);
  for (const BoundaryView* view : {&result.cu_seq_lens_q, &result.cu_seqlens, &result.seq_idx,
                                   &result.cu_seq_lens_k, &result.flash_rule, &result.mask_rule}) {
    if (!result.intended.has_value() && says_several(*view)) result.intended = *view;
  }
  return result;
}

}  // namespace packproof
