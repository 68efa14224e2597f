#include "harness/core/packing.h"
#include "property_tests/generators/gen_case.h"

#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace packproof {
namespace {

using Ints = std::vector<int64_t>;

/// Packings of every layout class, slack included.
Packing draw_packing() {
  CaseDomain domain;
  domain.layout = *rc::gen::elementOf(
      std::vector<LayoutClass>(all_layout_classes().begin(), all_layout_classes().end()));
  return packing_of(*gen_case(domain));
}

Ints ints(const Tensor& tensor) {
  Ints values;
  for (int64_t i = 0; i < tensor.numel(); ++i) values.push_back(tensor.int_at(i));
  return values;
}

Ints lengths_of(const Packing& packing) {
  return {packing.lengths().begin(), packing.lengths().end()};
}

RC_GTEST_PROP(Packing, CuSeqlensGiveTheLengthsBack, ()) {
  const Packing packing = draw_packing();
  const DType dtype = *rc::gen::element(DType::kI32, DType::kI64);
  const Packing back =
      Packing::from_cu_seqlens(ints(packing.cu_seqlens_tensor(dtype)), packing.total_rows())
          .value();
  RC_ASSERT(lengths_of(back) == lengths_of(packing));
  RC_ASSERT(back.slack() == packing.slack());
}

// Ids don't show the empty sequences after the last token, and nothing else is lost.
RC_GTEST_PROP(Packing, SeqIdxGivesTheLengthsBackUpToEmptyEnds, ()) {
  const Packing packing = draw_packing();
  const Packing back = Packing::from_seq_idx(ints(packing.seq_idx_tensor())).value();
  Ints expected = lengths_of(packing);
  while (!expected.empty() && expected.back() == 0) expected.pop_back();
  RC_ASSERT(lengths_of(back) == expected);
  RC_ASSERT(back.slack() == packing.slack());
}

// Positions restart at every sequence, so both rules of the library find the sequences that hold
// tokens (spec 4.2).
RC_GTEST_PROP(Packing, PositionIdsShowTheBoundariesOfNonEmptySequences, ()) {
  const Packing drawn = draw_packing();
  Ints lengths = lengths_of(drawn);
  std::erase(lengths, 0);
  RC_PRE(!lengths.empty());
  const Packing packing = Packing::from_lengths(lengths).value();
  const int64_t start = *rc::gen::inRange<int64_t>(0, 5);
  const Ints positions = ints(packing.position_ids_tensor(start));
  RC_ASSERT(flash_rule_cu_seqlens(positions) ==
            Ints(packing.cu_seqlens().begin(), packing.cu_seqlens().end()));
  const Ints index = mask_rule_sequence_index(positions);
  if (packing.num_seqs() == 1) {
    RC_ASSERT(index.empty());
  } else {
    RC_ASSERT(index == ints(packing.seq_idx_tensor()));
  }
}

RC_GTEST_PROP(Packing, EveryRowHasItsSequence, ()) {
  const Packing packing = draw_packing();
  const Ints ids = ints(packing.seq_idx_tensor());
  for (int64_t row = 0; row < packing.total_rows(); ++row) {
    RC_ASSERT(packing.sequence_of_row(row) == ids[static_cast<std::size_t>(row)]);
  }
}

// Reading a padded batch through its mask, row by row, gives the packed order back.
RC_GTEST_PROP(Packing, APaddedBatchHoldsThePackedTokensInOrder, ()) {
  const Packing packing = draw_packing();
  const PadSide side = *rc::gen::element(PadSide::kLeft, PadSide::kRight);
  const PaddedLayout layout = padded_layout(packing, side, *rc::gen::inRange<int64_t>(0, 4));
  Ints from_lengths;
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    for (int64_t t = 0; t < packing.length(n); ++t) {
      from_lengths.push_back(layout.index_of(packing, n, t));
    }
  }
  Ints from_mask;
  Ints counts(static_cast<std::size_t>(layout.rows), 0);
  const Ints mask = ints(attention_mask(packing, layout));
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (mask[i] == 0) continue;
    from_mask.push_back(static_cast<int64_t>(i));
    ++counts[i / static_cast<std::size_t>(layout.length)];
  }
  RC_ASSERT(from_mask == from_lengths);
  RC_ASSERT(counts == lengths_of(packing));
  // The side: the outermost column holds the last (left) or first (right) token of every row.
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    if (packing.length(n) == 0) continue;
    const int64_t column = side == PadSide::kLeft ? layout.length - 1 : 0;
    RC_ASSERT(mask[static_cast<std::size_t>(n * layout.length + column)] == 1);
  }
}

}  // namespace
}  // namespace packproof
