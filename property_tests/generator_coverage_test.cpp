#include "harness/core/case_text.h"
#include "property_tests/generators/case_source.h"

#include <algorithm>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace packproof {
namespace {

DrawRequest request_for(Op op, Direction direction, LayoutClass layout, GateRegime gate) {
  DrawRequest request;
  request.ops = {op};
  request.direction = direction;
  request.layout = layout;
  request.gate = gate;
  return request;
}

/// Every cell of op, direction, layout class and gate regime (one where the op has no gates).
template <typename Visit>
void for_each_cell(Visit visit) {
  for (const Op op : all_ops()) {
    for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
      for (const LayoutClass layout : all_layout_classes()) {
        for (const GateRegime gate : all_gate_regimes()) {
          if (!has_gates(op) && gate != GateRegime::kSlow) continue;
          visit(request_for(op, direction, layout, gate));
        }
      }
    }
  }
}

int64_t tokens_of(const CaseSpec& spec) { return packing_of(spec).total_tokens(); }

TEST(GeneratorCoverage, EveryDrawnCaseIsValidAndInItsCell) {
  int64_t cells = 0;
  for_each_cell([&](DrawRequest request) {
    request.count = 12;
    request.max_tokens = 300;
    const Op op = request.ops[0];
    const std::vector<CaseSpec> cases = draw_cases(request);
    if (!can_draw(op, request.direction, request.layout, request.max_tokens)) {
      EXPECT_TRUE(cases.empty());
      return;
    }
    ++cells;
    ASSERT_EQ(cases.size(), 12U);
    for (const CaseSpec& spec : cases) {
      ASSERT_TRUE(validate(spec).ok()) << to_text(spec) << ": " << validate(spec).error().message;
      EXPECT_EQ(layout_class_of(spec), request.layout)
          << to_text(spec) << " is " << name_of(layout_class_of(spec));
      EXPECT_EQ(spec.op, op);
      EXPECT_EQ(spec.direction, request.direction);
      EXPECT_TRUE(!has_gates(op) || spec.gate == request.gate);
      EXPECT_LE(tokens_of(spec), request.max_tokens) << to_text(spec);
    }
  });
  EXPECT_GT(cells, 300);
}

TEST(GeneratorCoverage, LayoutsFitTheSmallestAndTheOddestTokenLimits) {
  for (const LayoutClass layout : all_layout_classes()) {
    for (int64_t max_tokens = 1; max_tokens < 260; ++max_tokens) {
      DrawRequest request =
          request_for(Op::kCausalConv1d, Direction::kForward, layout, GateRegime::kSlow);
      request.max_tokens = max_tokens;
      request.count = 15;
      for (const CaseSpec& spec : draw_cases(request)) {
        ASSERT_EQ(layout_class_of(spec), layout) << to_text(spec) << " " << max_tokens;
        ASSERT_LE(tokens_of(spec), max_tokens) << to_text(spec);
      }
    }
  }
}

TEST(GeneratorCoverage, OnlyWhatAnOpCannotExpressIsOutOfReach) {
  const auto reaches = [](Op op, LayoutClass layout) {
    return can_draw(op, Direction::kForward, layout, 512);
  };
  for (const LayoutClass layout : all_layout_classes()) {
    EXPECT_TRUE(reaches(Op::kCausalConv1d, layout)) << name_of(layout);
    EXPECT_TRUE(reaches(Op::kChunkGatedDeltaRule, layout)) << name_of(layout);
    EXPECT_EQ(reaches(Op::kGatedRmsNorm, layout), layout != LayoutClass::kSlack);
  }
  EXPECT_TRUE(reaches(Op::kCausalConv1dUpdate, LayoutClass::kEmptyMiddle));
  EXPECT_FALSE(reaches(Op::kCausalConv1dUpdate, LayoutClass::kChunkEdges));
  EXPECT_FALSE(can_draw(Op::kCausalConv1dUpdate, Direction::kBackward, LayoutClass::kSingle, 512));
  EXPECT_FALSE(can_draw(Op::kCausalConv1d, Direction::kForward, LayoutClass::kChunkMultiples, 191));
}

TEST(GeneratorCoverage, TheSameRequestGivesTheSameCases) {
  DrawRequest request = request_for(Op::kRecurrentGatedDeltaRule, Direction::kForward,
                                    LayoutClass::kImbalanced, GateRegime::kSlow);
  request.ops.push_back(Op::kCausalConv1d);
  request.count = 10;
  const std::vector<CaseSpec> first = draw_cases(request);
  EXPECT_EQ(draw_cases(request), first);
  request.count = 4;
  EXPECT_EQ(draw_cases(request), std::vector<CaseSpec>(first.begin(), first.begin() + 4));
  request.seed = 1;
  EXPECT_NE(draw_cases(request)[0], first[0]);
  EXPECT_NE(first[0].op, first[1].op);
}

/// Many cases of some ops over all classes.
std::vector<CaseSpec> many_cases(int64_t max_tokens, int64_t count,
                                 const std::vector<Op>& ops = {Op::kRecurrentGatedDeltaRule,
                                                               Op::kCausalConv1d}) {
  std::vector<CaseSpec> cases;
  for (const LayoutClass layout : all_layout_classes()) {
    DrawRequest request =
        request_for(ops.front(), Direction::kForward, layout, GateRegime::kMixedZeros);
    request.ops = ops;
    request.max_tokens = max_tokens;
    request.count = count;
    const std::vector<CaseSpec> drawn = draw_cases(request);
    cases.insert(cases.end(), drawn.begin(), drawn.end());
  }
  return cases;
}

TEST(GeneratorCoverage, EveryValueOfEveryAxisIsDrawn) {
  std::set<std::string> words;
  for (const CaseSpec& spec : many_cases(300, 80)) {
    const std::string text = to_text(spec) + ' ';
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find(' ', begin);
      words.insert(text.substr(begin, end - begin));
      begin = end + 1;
    }
    if (spec.num_k_heads == 2 && spec.num_v_heads == 6) words.insert("2/6");
    if (spec.head_k_dim != spec.head_v_dim) words.insert("k!=v");
  }
  for (const char* word : {"dtype=f32",
                           "dtype=f16",
                           "dtype=bf16",
                           "meta=seq_idx",
                           "meta=both",
                           "cu=i64",
                           "w=2",
                           "w=3",
                           "w=8",
                           "bias=1",
                           "act=none",
                           "hk=2",
                           "hk=3",
                           "hk=4",
                           "k=4",
                           "v=64",
                           "k=128",
                           "v=256",
                           "c=256",
                           "scale=0.5",
                           "scale=0.0625",
                           "layout=padded_left",
                           "layout=padded_right",
                           "h0=random",
                           "h0=zero",
                           "h0=pool",
                           "ht=0",
                           "l2norm=0",
                           "gate_in_kernel=1",
                           "stride=fused",
                           "stride=unaligned",
                           "2/6",
                           "k!=v"}) {
    EXPECT_TRUE(words.contains(word)) << word;
  }
}

TEST(GeneratorCoverage, ScalarsAndSizesOfRowWiseOpsAreDrawn) {
  std::set<double> eps, theta;
  int64_t largest = 0;
  for (const CaseSpec& spec : many_cases(300, 40, {Op::kRmsNorm, Op::kRope})) {
    if (spec.op == Op::kRmsNorm) eps.insert(spec.eps);
    if (spec.op == Op::kRope) theta.insert(spec.rope_theta);
    largest = std::max({largest, spec.head_k_dim, spec.head_v_dim});
  }
  EXPECT_EQ(eps, (std::set<double>{1e-6, 0x1p-10, 0.125}));
  EXPECT_EQ(theta, (std::set<double>{1e4, 1e6, 1e7}));
  EXPECT_EQ(largest, 256);
}

TEST(GeneratorCoverage, LengthsAroundTheConvWidthAndTheChunkEdgesAreDrawn) {
  std::set<int64_t> lengths;
  std::set<int64_t> around_width;
  for (const CaseSpec& spec : many_cases(300, 60)) {
    for (const int64_t length : spec.lens) {
      lengths.insert(length);
      around_width.insert(length - spec.conv_width);
    }
  }
  for (const int64_t length : {0, 1, 15, 16, 17, 63, 64, 65, 127, 128, 129}) {
    EXPECT_TRUE(lengths.contains(length)) << length;
  }
  for (const int64_t difference : {-1, 0, 1}) EXPECT_TRUE(around_width.contains(difference));
}

TEST(GeneratorCoverage, ExtremesAreReachedWhenTokensAllow) {
  int64_t most_singles = 0;
  double largest_ratio = 0.0;
  for (const LayoutClass layout : {LayoutClass::kSingles, LayoutClass::kImbalanced}) {
    DrawRequest request =
        request_for(Op::kCausalConv1d, Direction::kForward, layout, GateRegime::kSlow);
    request.max_tokens = 40000;
    request.count = 60;
    for (const CaseSpec& spec : draw_cases(request)) {
      std::vector<int64_t> sorted = spec.lens;
      std::sort(sorted.begin(), sorted.end());
      const auto median = static_cast<double>(sorted[sorted.size() / 2]);
      largest_ratio = std::max(largest_ratio, static_cast<double>(sorted.back()) / median);
      if (layout != LayoutClass::kSingles) continue;
      most_singles = std::max(most_singles, static_cast<int64_t>(spec.lens.size()));
    }
  }
  EXPECT_GT(most_singles, 16384);
  EXPECT_LE(most_singles, 32768);
  EXPECT_GE(largest_ratio, 1e4);
}

TEST(GeneratorCoverage, PaddingIsHeavyOnBothSidesAndBounded) {
  double heaviest_left = 0.0;
  double heaviest_right = 0.0;
  for (const CaseSpec& spec : many_cases(300, 120)) {
    if (spec.layout == BatchLayout::kPacked) continue;
    const Packing packing = packing_of(spec);
    const int64_t rows = packing.num_seqs() * (packing.max_seqlen() + spec.pad);
    const double share =
        1.0 - static_cast<double>(packing.total_tokens()) / static_cast<double>(rows);
    double& heaviest = spec.layout == BatchLayout::kPaddedLeft ? heaviest_left : heaviest_right;
    heaviest = std::max(heaviest, share);
    EXPECT_LE(rows, 34 * packing.total_tokens()) << to_text(spec);
  }
  EXPECT_GT(heaviest_left, 0.95);
  EXPECT_GT(heaviest_right, 0.95);
}

TEST(GeneratorCoverage, DimsGiveWayToTheWorkLimit) {
  DrawRequest request = request_for(Op::kRecurrentGatedDeltaRule, Direction::kForward,
                                    LayoutClass::kSingles, GateRegime::kSlow);
  request.max_tokens = 4096;
  request.max_work = int64_t{1} << 18;
  request.count = 100;
  for (const CaseSpec& spec : draw_cases(request)) {
    if (spec.layout != BatchLayout::kPacked) continue;
    const int64_t work = tokens_of(spec) * spec.num_v_heads * spec.head_k_dim * spec.head_v_dim;
    EXPECT_LE(work, request.max_work) << to_text(spec);
  }
}

}  // namespace
}  // namespace packproof
