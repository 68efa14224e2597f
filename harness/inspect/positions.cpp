#include "harness/inspect/positions.h"

#include "harness/core/packing.h"
#include "harness/core/tensor.h"

#include <algorithm>
#include <span>

namespace packproof {
namespace {

/// The row of every sequence that boundaries can be read from: of M-RoPE's four the text's own, of
/// its three the first.
struct Positions {
  std::span<const int64_t> values;
  int64_t rows = 0;  ///< 1 when all rows of the batch share it.
  bool text = true;  ///< M-RoPE's three rows hold no text positions.
};

/// [L], [1, L] and [B, L]; or M-RoPE's [3, B, L] and, with text positions in front, [4, B, L].
std::optional<Positions> positions_of(const BatchField& field, const BatchBoundaries& b) {
  const std::vector<int64_t>& shape = field.shape;
  if (shape.empty() || shape.size() > 3 || shape.back() != b.length) return std::nullopt;
  if (shape.size() == 3 && shape[0] != 3 && shape[0] != 4) return std::nullopt;
  const int64_t rows = shape.size() == 1 ? 1 : shape[shape.size() - 2];
  if (rows != 1 && rows != b.rows) return std::nullopt;
  const auto count = static_cast<std::size_t>(rows * b.length);
  if (field.values.size() < count) return std::nullopt;
  return Positions{{field.values.data(), count}, rows, shape.size() != 3 || shape[0] == 4};
}

/// The positions of one row whose token the mask keeps; all of them without a mask of [B, L].
std::vector<int64_t> attended(const Positions& positions, const BatchField* mask, int64_t row,
                              int64_t length) {
  const auto begin = positions.values.begin() + (positions.rows == 1 ? 0 : row * length);
  if (mask == nullptr) return {begin, begin + length};
  std::vector<int64_t> result;
  for (int64_t t = 0; t < length; ++t) {
    if (mask->values[static_cast<std::size_t>(row * length + t)] != 0) result.push_back(begin[t]);
  }
  return result;
}

/// Whether one row's positions belong to several sequences. Those of an image stand still in
/// M-RoPE's first row, but never fall.
bool hold_several(const std::vector<int64_t>& positions, bool text) {
  return text ? !mask_rule_sequence_index(positions).empty() : !std::ranges::is_sorted(positions);
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

void apply_rules(std::span<const int64_t> positions, BatchBoundaries& result) {
  result.mask_rule.lengths = lengths_of_index(mask_rule_sequence_index(positions), result.length);
  result.flash_rule.lengths = lengths_between(flash_rule_cu_seqlens(positions));
  const int64_t least = *std::ranges::min_element(positions);
  if (positions.front() != least) {
    result.flash_rule.remark = "tokens before the first boundary belong to no sequence";
  }
  // Before 5.15 the fallback looked for zeros: the same where they are the least positions.
  result.zero_rule.lengths =
      least == 0 ? *result.flash_rule.lengths : std::vector<int64_t>{result.length};
}

void read_one_row(const Positions& positions, const BatchField* mask, BatchBoundaries& result) {
  const auto rules = {&result.mask_rule, &result.flash_rule, &result.zero_rule};
  const std::vector<int64_t> kept = attended(positions, mask, 0, result.length);
  const bool several = hold_several(kept, positions.text);
  if (!positions.text) {
    for (BoundaryView* rule : rules) {
      rule->remark = "three rows (M-RoPE) hold no text positions: no rule reads them";
    }
    if (several) {
      result.unusable.emplace_back(
          "position_ids: expected text positions before M-RoPE's three rows ([4, 1, L]) where "
          "sequences are packed, found three rows that restart");
    }
  } else if (const auto count = static_cast<int64_t>(kept.size());
             !several && count < result.length) {
    for (BoundaryView* rule : rules) {
      rule->lengths = std::vector<int64_t>{count};
      rule->remark = "without the tokens whose attention_mask is 0";
    }
  } else if (result.length > 0) {
    apply_rules(positions.values, result);
  }
}

}  // namespace

void read_positions(const Batch& batch, BatchBoundaries& result) {
  result.mask_rule = {"position_ids, eager and sdpa (a step other than +1)", std::nullopt, {}};
  result.flash_rule = {"position_ids, flash from 5.15 (equal to the minimum)", std::nullopt, {}};
  result.zero_rule = {"position_ids, flash before 5.15 (equal to 0)", std::nullopt, {}};
  const BatchField* field = find(batch, "position_ids");
  std::optional<Positions> positions;
  if (field != nullptr) positions = positions_of(*field, result);
  if (!positions.has_value()) {
    const std::string remark = field == nullptr ? kNotGiven : kUnusable;
    result.mask_rule.remark = result.flash_rule.remark = result.zero_rule.remark = remark;
    if (field != nullptr) {
      result.unusable.push_back("position_ids: expected one position per token, shape " +
                                shape_text({result.rows, result.length}) +
                                " or M-RoPE's with 3 or 4 in front, found " +
                                shape_text(field->shape));
    }
    return;
  }
  const BatchField* mask = find(batch, "attention_mask");
  if (mask != nullptr && !is_per_token(*mask, result)) mask = nullptr;
  if (result.rows == 1) {
    read_one_row(*positions, mask, result);
    return;
  }
  for (int64_t row = 0; row < result.rows; ++row) {
    const std::vector<int64_t> kept = attended(*positions, mask, row, result.length);
    if (hold_several(kept, positions->text)) ++result.packed_rows;
  }
}

}  // namespace packproof
