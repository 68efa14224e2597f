#include "harness/judge/sequences.h"

#include <gtest/gtest.h>

namespace packproof {
namespace {

Tensor integers(std::vector<int64_t> shape, const std::vector<int64_t>& values,
                DType dtype = DType::kI32) {
  return Tensor::from_ints(dtype, std::move(shape), values);
}

Sequences sequences(std::vector<Span> spans) { return {"test", 10, std::move(spans)}; }

TEST(Sequences, OffsetsKeepEmptySequencesAndLeaveSlackOut) {
  const Result<Sequences> found = sequences_of_offsets(integers({4}, {0, 2, 2, 5}), 6);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->spans, (std::vector<Span>{{0, 2}, {2, 0}, {2, 3}}));
  EXPECT_EQ(found->tokens(), 5);
  EXPECT_EQ(found->non_empty(), 2);
  EXPECT_EQ(lens_text(*found), "2,0,3");
  EXPECT_FALSE(sequences_of_offsets(integers({2}, {0, 7}), 6).ok());
}

TEST(Sequences, IdsAreRunsWithinARow) {
  const Result<Sequences> found = sequences_of_ids(integers({2, 4}, {0, 0, 1, 1, 1, 1, -1, 2}), 0);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->spans, (std::vector<Span>{{0, 2}, {2, 2}, {4, 2}, {7, 1}}));
}

TEST(Sequences, PositionsRestartAtTheirLeast) {
  const Result<Sequences> found =
      sequences_of_positions(integers({1, 6}, {0, 1, 0, 0, 1, 7}, DType::kI64));
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->spans, (std::vector<Span>{{0, 2}, {2, 1}, {3, 3}}));
  EXPECT_EQ(sequences_of_positions(integers({1, 3}, {5, 6, 5}))->spans,
            (std::vector<Span>{{0, 2}, {2, 1}}));
  // Several rows of positions (M-RoPE): the first one counts.
  const Result<Sequences> rows = sequences_of_positions(integers({2, 1, 2}, {0, 0, 5, 6}));
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->spans, (std::vector<Span>{{0, 1}, {1, 1}}));
}

/// [1, 1, T, T], additive: 0 where seen.
Tensor additive(int64_t length, const std::vector<int64_t>& seen) {
  Tensor mask(DType::kF32, {1, 1, length, length});
  for (int64_t i = 0; i < mask.numel(); ++i) {
    mask.set(i, seen[static_cast<std::size_t>(i)] != 0 ? 0.0 : -65504.0);
  }
  return mask;
}

TEST(Sequences, MasksAreCausalBlocksAndRowsThatSeeThemselves) {
  const std::vector<int64_t> blocks{1, 0, 0, 0,  // A token.
                                    0, 0, 0, 0,  // Padding.
                                    0, 0, 1, 0,  //
                                    0, 0, 1, 1};
  const std::vector<Span> expected{{0, 1}, {2, 2}};
  const Result<Sequences> whole = sequences_of_mask(integers({1, 1, 4, 4}, blocks), 1);
  ASSERT_TRUE(whole.ok()) << whole.error().message;
  EXPECT_EQ(whole->spans, expected);
  EXPECT_EQ(sequences_of_mask(additive(4, blocks), 1)->spans, expected);
}

TEST(Sequences, WindowsAndTheFutureAreNoBlocks) {
  EXPECT_FALSE(sequences_of_mask(integers({1, 1, 3, 3}, {1, 0, 0, 1, 1, 0, 0, 1, 1}), 1).ok());
  EXPECT_FALSE(sequences_of_mask(integers({1, 1, 2, 2}, {1, 1, 1, 1}), 1).ok());
  EXPECT_FALSE(sequences_of_mask(integers({1, 1, 2, 3}, {1, 0, 0, 1, 1, 0}), 1).ok());
}

TEST(Sequences, PaddingIsTrimmedAndSqueezedOut) {
  const Sequences rows = sequences_of_rows(2, 3);
  const Sequences trimmed = without_padding(rows, integers({2, 3}, {0, 1, 1, 1, 1, 0}));
  EXPECT_EQ(trimmed.spans, (std::vector<Span>{{1, 2}, {3, 2}}));
  EXPECT_EQ(compressed(trimmed).spans, (std::vector<Span>{{0, 2}, {2, 2}}));
  EXPECT_EQ(compressed(trimmed).rows, 4);
  EXPECT_EQ(without_padding(rows, integers({2, 3}, {0, 0, 0, 1, 1, 1})).spans,
            (std::vector<Span>{{3, 3}}));
}

TEST(Sequences, ASharedPlaceAndATornSequenceDisagree) {
  const Sequences truth = sequences({{0, 3}, {3, 0}, {3, 4}});
  EXPECT_FALSE(first_disagreement(truth, sequences({{0, 3}, {3, 7}})).has_value());
  const auto shared = first_disagreement(truth, sequences({{0, 10}}));
  ASSERT_TRUE(shared.has_value());
  EXPECT_FALSE(shared->cut);
  EXPECT_EQ(shared->sequence, 2);
  EXPECT_EQ(shared->other, 0);
  const auto torn = first_disagreement(truth, sequences({{0, 2}, {2, 1}, {3, 4}}));
  ASSERT_TRUE(torn.has_value());
  EXPECT_TRUE(torn->cut);
  EXPECT_EQ(torn->sequence, 0);
  EXPECT_TRUE(first_disagreement(truth, sequences({{3, 4}}))->cut);
}

TEST(Sequences, ReceivedPlacesHoldWhatIsTrueOfThem) {
  const Sequences truth = sequences({{1, 2}, {3, 4}});
  EXPECT_EQ(aligned(truth, sequences({{0, 3}, {3, 0}, {3, 4}, {7, 3}})),
            (std::vector<Span>{{1, 2}, {3, 0}, {3, 4}, {7, 0}}));
}

}  // namespace
}  // namespace packproof
