#include "harness/core/packing.h"

#include <gtest/gtest.h>

namespace packproof {
namespace {

using Ints = std::vector<int64_t>;

Packing packing(Ints lengths, int64_t slack = 0) {
  return Packing::from_lengths(std::move(lengths), slack).value();
}

Ints ints(const Tensor& tensor) {
  Ints values;
  for (int64_t i = 0; i < tensor.numel(); ++i) values.push_back(tensor.int_at(i));
  return values;
}

Ints ints(std::span<const int64_t> values) { return {values.begin(), values.end()}; }

TEST(Packing, DerivesEveryKindOfMetadata) {
  const Packing p = packing({0, 2, 0, 3, 0}, 2);
  EXPECT_EQ(ints(p.cu_seqlens()), (Ints{0, 0, 2, 2, 5, 5}));
  EXPECT_EQ(ints(p.cu_seqlens_tensor(DType::kI32)), (Ints{0, 0, 2, 2, 5, 5}));
  EXPECT_EQ(ints(p.cu_seqlens_tensor(DType::kI64)), (Ints{0, 0, 2, 2, 5, 5}));
  EXPECT_EQ(ints(p.seq_idx_tensor()), (Ints{1, 1, 3, 3, 3, -1, -1}));
  EXPECT_EQ(p.seq_idx_tensor().shape(), (Ints{1, 7}));
  EXPECT_EQ(ints(p.position_ids_tensor()), (Ints{0, 1, 0, 1, 2, 0, 0}));
  EXPECT_EQ(ints(p.position_ids_tensor(4)), (Ints{4, 5, 4, 5, 6, 0, 0}));
  EXPECT_EQ(p.num_seqs(), 5);
  EXPECT_EQ(p.total_tokens(), 5);
  EXPECT_EQ(p.total_rows(), 7);
  EXPECT_EQ(p.max_seqlen(), 3);
  Ints owners;
  for (int64_t row = -1; row < 8; ++row) owners.push_back(p.sequence_of_row(row));
  EXPECT_EQ(owners, (Ints{-1, 1, 1, 3, 3, 3, -1, -1, -1}));
}

TEST(Packing, ComesBackFromItsMetadata) {
  const Packing p = packing({0, 2, 0, 3}, 2);
  const Packing from_cu = Packing::from_cu_seqlens(p.cu_seqlens(), 7).value();
  EXPECT_EQ(ints(from_cu.lengths()), (Ints{0, 2, 0, 3}));
  EXPECT_EQ(from_cu.slack(), 2);
  const Packing from_ids = Packing::from_seq_idx(ints(p.seq_idx_tensor())).value();
  EXPECT_EQ(ints(from_ids.lengths()), (Ints{0, 2, 0, 3}));
  EXPECT_EQ(from_ids.slack(), 2);
  EXPECT_EQ(Packing::from_cu_seqlens(Ints{0}, 3).value().num_seqs(), 0);
  EXPECT_EQ(Packing::from_seq_idx(Ints{-1}).value().slack(), 1);
}

std::string cu_error(const Ints& cu_seqlens, int64_t rows) {
  return Packing::from_cu_seqlens(cu_seqlens, rows).error().message;
}

std::string ids_error(const Ints& ids) { return Packing::from_seq_idx(ids).error().message; }

TEST(Packing, RefusesMetadataByNameWithWhatWasExpectedAndFound) {
  EXPECT_EQ(cu_error({}, 3), "cu_seqlens: expected at least one entry, found none");
  EXPECT_EQ(cu_error({1, 3}, 3), "cu_seqlens[0]: expected 0, found 1");
  EXPECT_EQ(cu_error({0, 3, 2}, 3),
            "cu_seqlens[2]: expected at least 3 (the entry before), found 2");
  EXPECT_EQ(cu_error({0, 4}, 3), "cu_seqlens[1]: expected at most 3 (the rows there are), found 4");
  EXPECT_EQ(ids_error({0, 2, 1}),
            "seq_idx[2]: expected an id of at least 2 (ids do not decrease), found 1");
  EXPECT_EQ(ids_error({0, -1, 0}),
            "seq_idx[2]: expected only ids below 0 after the first one, found 0");
  EXPECT_EQ(ids_error({int64_t{1} << 40}),
            "seq_idx[0]: expected an id below 4194304, found 1099511627776");
  EXPECT_EQ(Packing::from_lengths({1, -2}).error().message,
            "lengths[1]: expected a length >= 0, found -2");
  EXPECT_EQ(Packing::from_lengths({1}, -1).error().message,
            "slack: expected 0 to 1099511627776 rows, found -1");
  EXPECT_FALSE(Packing::from_lengths({kMaxRows, 1}).ok());
}

LayoutClass class_of(Ints lengths, int64_t slack = 0) {
  return packing(std::move(lengths), slack).layout_class(64, 4);
}

TEST(Packing, ClassifiesLayouts) {
  EXPECT_EQ(class_of({7}), LayoutClass::kSingle);
  EXPECT_EQ(class_of({7, 7}), LayoutClass::kEqual);
  EXPECT_EQ(class_of({1, 1}), LayoutClass::kSingles);
  EXPECT_EQ(class_of({1, 3}), LayoutClass::kShorterThanConv);
  EXPECT_EQ(class_of({64, 128}), LayoutClass::kChunkMultiples);
  EXPECT_EQ(class_of({65, 20}), LayoutClass::kChunkEdges);
  EXPECT_EQ(class_of({20, 127}), LayoutClass::kChunkEdges);
  EXPECT_EQ(class_of({1, 20}), LayoutClass::kRagged);
  EXPECT_EQ(class_of({16, 1, 1}), LayoutClass::kImbalanced);
  EXPECT_EQ(class_of({15, 1, 1}), LayoutClass::kRagged);
  EXPECT_EQ(class_of({0, 5}), LayoutClass::kEmptyFront);
  EXPECT_EQ(class_of({0}), LayoutClass::kEmptyFront);
  EXPECT_EQ(class_of({5, 0, 5}), LayoutClass::kEmptyMiddle);
  EXPECT_EQ(class_of({5, 0, 5, 0}), LayoutClass::kEmptyEnd);
  EXPECT_EQ(class_of({0, 5}, 1), LayoutClass::kSlack);
  EXPECT_EQ(all_layout_classes().size(), 12U);
  EXPECT_EQ(name_of(LayoutClass::kRagged), "ragged");
}

TEST(PaddedLayout, PlacesTokensOnEitherSide) {
  const Packing p = packing({2, 0, 3});
  const PaddedLayout left = padded_layout(p, PadSide::kLeft, 1);
  EXPECT_EQ(left.length, 4);
  EXPECT_EQ(left.index_of(p, 0, 0), 2);
  EXPECT_EQ(left.index_of(p, 2, 2), 11);
  EXPECT_EQ(ints(attention_mask(p, left)), (Ints{0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 1, 1}));
  const PaddedLayout right = padded_layout(p, PadSide::kRight);
  EXPECT_EQ(right.index_of(p, 2, 1), 7);
  EXPECT_EQ(ints(attention_mask(p, right)), (Ints{1, 1, 0, 0, 0, 0, 1, 1, 1}));
}

}  // namespace
}  // namespace packproof
