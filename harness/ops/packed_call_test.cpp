#include "harness/ops/packed_call.h"

#include "harness/core/case_text.h"

#include <cmath>

#include <gtest/gtest.h>

namespace packproof {
namespace {

PackedCall build(const std::string& line) {
  Result<CaseSpec> spec = parse_case(line);
  EXPECT_TRUE(spec.ok()) << (spec.ok() ? "" : spec.error().message);
  Result<PackedCall> packed = build_case(*spec);
  EXPECT_TRUE(packed.ok()) << (packed.ok() ? "" : packed.error().message);
  return std::move(*packed);
}

/// Bits of the `inner` elements of token row `row`.
std::vector<uint64_t> row_bits(const Tensor& tensor, int64_t row, int64_t rows) {
  std::vector<uint64_t> bits;
  const int64_t inner = tensor.numel() / rows;
  for (int64_t e = 0; e < inner; ++e) bits.push_back(tensor.bits_at(row * inner + e));
  return bits;
}

TEST(BuildCase, ASequenceHasTheSameDataWhereverItStands) {
  const PackedCall first = build("op=causal_conv1d dtype=f32 lens=3,5,2 seed=9");
  const PackedCall alone = select_sequences(first, {1}, 0);
  const Tensor& whole = first.call.input("x");
  const Tensor& part = alone.call.input("x");
  ASSERT_EQ(part.dim(1), 5);
  for (int64_t t = 0; t < 5; ++t) EXPECT_EQ(row_bits(whole, 3 + t, 10), row_bits(part, t, 5));
}

TEST(BuildCase, SlackRowsHoldNan) {
  const PackedCall packed = build("op=causal_conv1d dtype=f32 lens=3 slack=2 seed=9");
  const Tensor& x = packed.call.input("x");
  EXPECT_FALSE(std::isnan(x.at(3 * 16 - 1)));
  EXPECT_TRUE(std::isnan(x.at(3 * 16)));
}

TEST(SelectSequences, ReordersTokensStatesAndBoundaries) {
  const PackedCall packed =
      build("op=recurrent_gated_delta_rule dtype=f32 lens=2,0,3 h0=random seed=4");
  const PackedCall reversed = select_sequences(packed, {2, 1, 0}, 1);
  EXPECT_EQ(reversed.packing.lengths()[0], 3);
  EXPECT_EQ(row_bits(packed.call.input("q"), 2, 5), row_bits(reversed.call.input("q"), 0, 6));
  EXPECT_EQ(row_bits(packed.call.input("initial_state"), 2, 3),
            row_bits(reversed.call.input("initial_state"), 0, 3));
  EXPECT_EQ(reversed.call.outputs.at("output").shape[1], 6);
  EXPECT_EQ(reversed.call.outputs.at("final_state").shape[0], 3);
}

TEST(Realise, MetadataFollowsTheCase) {
  const Realised cu = realise(build("op=causal_conv1d dtype=f32 lens=2,3 cu=i64"));
  EXPECT_EQ(cu.call.input("cu_seqlens").dtype(), DType::kI64);
  EXPECT_FALSE(cu.call.has("seq_idx"));
  const Realised ids = realise(build("op=causal_conv1d dtype=f32 lens=2,3 meta=seq_idx slack=1"));
  EXPECT_FALSE(ids.call.has("cu_seqlens"));
  EXPECT_EQ(ids.call.input("seq_idx").int_at(5), -1);
  EXPECT_EQ(ids.rows.at("output").back().kind, RowKind::kZero);
  EXPECT_FALSE(ids.call.outputs.contains("final_state"));
}

TEST(Realise, LeftPaddingMovesTokensToTheEndOfTheirRow) {
  const PackedCall packed =
      build("op=causal_conv1d dtype=f32 lens=2,3 layout=padded_left pad=1 seed=5");
  const Realised padded = realise(packed);
  const Tensor& x = padded.call.input("x");
  ASSERT_EQ(x.shape(), (std::vector<int64_t>{2, 4, 16}));
  EXPECT_FALSE(padded.call.has("cu_seqlens"));
  EXPECT_EQ(padded.rows.at("output")[0].kind, RowKind::kPad);
  EXPECT_EQ(padded.rows.at("output")[2].token, 0);
  EXPECT_EQ(row_bits(packed.call.input("x"), 0, 5), row_bits(x, 2, 8));
  EXPECT_EQ(x.at(0), 0.0);
}

TEST(Realise, StridesKeepValuesAndPoisonTheGaps) {
  const PackedCall packed = build("op=causal_conv1d dtype=f32 lens=2,3 stride=fused seed=5");
  const Realised realised = realise(packed);
  const Tensor& strided = realised.call.input("x");
  EXPECT_FALSE(strided.is_contiguous());
  EXPECT_EQ(strided.at(17), packed.call.input("x").at(17));
  EXPECT_GT(strided.storage_elements(), strided.numel());
}

TEST(Realise, SlotsOfSkippedSequencesAreUntouched) {
  const PackedCall packed = build("op=causal_conv1d_update dtype=f32 lens=1,0,1 slack=2 seed=3");
  const Realised realised = realise(packed);
  EXPECT_EQ(packed.call.input("state_indices").int_at(1), -1);
  EXPECT_EQ(realised.rows.at("output")[1].kind, RowKind::kZero);
  int64_t untouched = 0;
  for (const Row& row : realised.rows.at("conv_state")) {
    untouched += row.kind == RowKind::kUntouched ? 1 : 0;
  }
  EXPECT_EQ(untouched, 3);
}

TEST(Realise, WholeSequencesFindTheirStatesInAPool) {
  const PackedCall packed =
      build("op=chunk_gated_delta_rule dtype=bf16 lens=2,3,0,1 h0=pool seed=4");
  const Tensor& indices = packed.call.input("state_indices");
  const RowMap rows = realise(packed).rows.at("state");
  ASSERT_EQ(rows.size(), 6u);
  for (int64_t n = 0; n < 4; ++n) {
    EXPECT_EQ(rows[static_cast<std::size_t>(indices.int_at(n))].sequence, n);
  }
  EXPECT_FALSE(packed.call.has("initial_state"));
  EXPECT_FALSE(packed.call.outputs.contains("final_state"));

  // Every fourth seed leaves sequences without a slot, tokens or not.
  const PackedCall some =
      build("op=chunk_gated_delta_rule dtype=bf16 lens=2,3,0,1,1 h0=pool seed=7");
  EXPECT_EQ(some.call.input("state_indices").int_at(1), -1);
  EXPECT_EQ(some.call.input("state_indices").int_at(4), -1);
  EXPECT_EQ(realise(some).rows.at("output")[2].kind, RowKind::kToken);
}

TEST(Disturb, ChangesOneSequenceOnly) {
  const PackedCall packed =
      build("op=recurrent_gated_delta_rule dtype=bf16 lens=2,3,1 h0=random seed=8");
  for (const Disturbance kind : {Disturbance::kRedraw, Disturbance::kLoud, Disturbance::kNan}) {
    const Result<PackedCall> disturbed = disturb(packed, 1, kind);
    ASSERT_TRUE(disturbed.ok());
    for (const auto& [name, tensor] : packed.call.inputs) {
      const Tensor& changed = disturbed->call.input(name);
      const TensorSchema* schema = find_schema(packed.call.op, Direction::kForward, name, false);
      if (schema->role == TensorRole::kShared) continue;
      const bool token = schema->role == TensorRole::kToken;
      const int64_t rows = token ? 6 : 3;
      for (int64_t r = 0; r < rows; ++r) {
        const bool inside = token ? r >= 2 && r < 5 : r == 1;
        const bool kept = kind == Disturbance::kLoud && (name == "g" || name == "beta");
        EXPECT_EQ(row_bits(tensor, r, rows) == row_bits(changed, r, rows), !inside || kept)
            << name << " row " << r << " " << name_of(kind);
      }
    }
  }
}

TEST(RedrawFuture, KeepsThePastOfEverySequence) {
  const PackedCall packed =
      build("op=recurrent_gated_delta_rule dtype=f32 lens=4,0,3 slack=1 h0=random seed=8");
  const Result<PackedCall> other = redraw_future(packed, {2, 0, 1});
  ASSERT_TRUE(other.ok());
  const Tensor& before = packed.call.input("v");
  const Tensor& after = other->call.input("v");
  for (int64_t row = 0; row < 8; ++row) {
    const bool past = row < 2 || row == 4 || row == 7;
    EXPECT_EQ(row_bits(before, row, 8) == row_bits(after, row, 8), past) << "row " << row;
  }
  EXPECT_EQ(row_bits(packed.call.input("initial_state"), 0, 1),
            row_bits(other->call.input("initial_state"), 0, 1));
}

/// A suite can ask for any op: what it must be given is there, and what it may return is asked for.
TEST(BuildCase, KnowsEveryOpInBothDirections) {
  for (const Op op : all_ops()) {
    for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
      if (schema_of(op, direction).empty()) continue;
      CaseSpec spec;
      spec.op = op;
      spec.direction = direction;
      spec.lens = is_update(op) ? std::vector<int64_t>{1, 0, 1} : std::vector<int64_t>{3, 0, 2};
      const Result<PackedCall> packed = build_case(spec);
      ASSERT_TRUE(packed.ok()) << packed.error().message;
      for (const TensorSchema& schema : schema_of(op, direction)) {
        const std::string name(schema.name);
        if (schema.optional) continue;
        EXPECT_TRUE(schema.output ? packed->call.outputs.contains(name) : packed->call.has(name))
            << name_of(op) << " " << name_of(direction) << " " << name;
      }
      for (const auto& [name, tensor] : packed->call.inputs) {
        EXPECT_NE(find_schema(op, direction, name, false), nullptr) << name;
      }
    }
  }
}

TEST(BuildCase, PositionsTravelWithTheirTokens) {
  const PackedCall packed = build("op=rope dtype=f32 lens=2,3 k=8 seed=5");
  const Realised padded = realise_as(packed, BatchLayout::kPaddedLeft, 0);
  const Tensor& positions = padded.call.input("position_ids");
  EXPECT_EQ(positions.shape(), (std::vector<int64_t>{2, 3}));
  const int64_t expected[] = {0, 0, 1, 5, 6, 7};
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(positions.int_at(i), expected[i]) << i;
}

TEST(CutSequences, KeepsTheAskedTokens) {
  const PackedCall packed = build("op=causal_conv1d dtype=f32 lens=4,3 seed=2");
  const PackedCall rest = cut_sequences(packed, {1, 3}, {4, 3});
  EXPECT_EQ(rest.packing.lengths()[0], 3);
  EXPECT_EQ(rest.packing.lengths()[1], 0);
  EXPECT_EQ(row_bits(packed.call.input("x"), 1, 7), row_bits(rest.call.input("x"), 0, 3));
}

TEST(PairRows, ShiftsTokensAndSkipsUnmappedSequences) {
  const Realised whole = realise(build("op=causal_conv1d dtype=f32 lens=4,3 seed=2"));
  const PairedRows pairs = pair_rows(whole.rows.at("output"), whole.rows.at("output"),
                                     {.map = {1, -1}, .shift = {1, 0}, .end = {}});
  ASSERT_EQ(pairs.a.size(), 3u);  // tokens 1..3 of sequence 0 meet tokens 0..2 of sequence 1
  EXPECT_EQ(pairs.a[0], 1);
  EXPECT_EQ(pairs.b[0], 4);
}

TEST(PairRows, LeavesOutTokensFromTheEndOn) {
  const Realised whole = realise(build("op=causal_conv1d dtype=f32 lens=4,3 seed=2"));
  const PairedRows pairs = pair_rows(whole.rows.at("output"), whole.rows.at("output"),
                                     {.map = {0, 1}, .shift = {}, .end = {2, 1}});
  EXPECT_EQ(pairs.a, (std::vector<int64_t>{0, 1, 4}));
}

}  // namespace
}  // namespace packproof
