#include "harness/run/random_plan.h"

#include "harness/core/case_text.h"

#include <algorithm>
#include <set>
#include <utility>

#include <gtest/gtest.h>

namespace packproof {
namespace {

CandidateInfo info_with_chunked_rule() {
  CandidateInfo info;
  info.name = "kernels";
  for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
    info.capabilities.push_back(
        {Op::kChunkGatedDeltaRule, direction, {DType::kF32, DType::kF16}, {}});
  }
  return info;
}

TEST(RandomPlan, CoversOfferedDirectionsDtypesAndLayouts) {
  const auto plan =
      make_random_plan({.ops = {Op::kChunkGatedDeltaRule}, .count = 24}, info_with_chunked_rule());
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  ASSERT_EQ(plan->size(), 48u);
  std::set<Direction> directions;
  std::set<DType> dtypes;
  std::set<std::pair<GateRegime, DType>> combinations;
  std::set<LayoutClass> layouts;
  for (const CaseSpec& spec : *plan) {
    directions.insert(spec.direction);
    dtypes.insert(spec.dtype);
    combinations.insert({spec.gate, spec.dtype});
    layouts.insert(layout_class_of(spec));
    EXPECT_LE(packing_of(spec).total_tokens(), 256);
  }
  EXPECT_EQ(directions.size(), 2u);
  EXPECT_EQ(dtypes, (std::set<DType>{DType::kF32, DType::kF16}));
  EXPECT_EQ(combinations.size(), 2 * all_gate_regimes().size());
  EXPECT_GT(layouts.size(), 6u);
}

TEST(RandomPlan, DrawsPoolsOfStatesForWhoDeclaresThem) {
  const auto pools = [](bool declared, const std::string& fixed) {
    CandidateInfo info = info_with_chunked_rule();
    info.capabilities[0].limits.state_pool = declared;
    const auto plan = make_random_plan({.ops = {Op::kChunkGatedDeltaRule},
                                        .directions = {Direction::kForward},
                                        .count = 60,
                                        .fixed = fixed},
                                       info);
    EXPECT_TRUE(plan.ok()) << plan.error().message;
    return std::ranges::count_if(
        *plan, [](const CaseSpec& spec) { return spec.initial_state == StateInit::kPool; });
  };
  EXPECT_GT(pools(true, ""), 4);
  EXPECT_EQ(pools(false, ""), 0);
  EXPECT_EQ(pools(true, "ht=0"), 0);
  EXPECT_EQ(pools(false, "h0=pool"), 60);  // The user's word: a refusal then tells.
}

TEST(RandomPlan, MostCasesHaveDeclaredHeadSizesAndSomeLieBeyond) {
  CandidateInfo info = info_with_chunked_rule();
  info.capabilities[0].limits.head_k_dims = {128};
  info.capabilities[0].limits.max_head_v_dim = 12;
  const auto plan = make_random_plan(
      {.ops = {Op::kChunkGatedDeltaRule}, .directions = {Direction::kForward}, .count = 60}, info);
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  const auto declared = std::ranges::count_if(
      *plan, [](const CaseSpec& spec) { return spec.head_k_dim == 128 && spec.head_v_dim <= 12; });
  EXPECT_GT(declared, 40);
  EXPECT_LT(declared, 60);
}

TEST(RandomPlan, FixedFieldsWinAndDirectionsNarrow) {
  const auto plan = make_random_plan({.ops = {Op::kChunkGatedDeltaRule},
                                      .directions = {Direction::kBackward},
                                      .count = 9,
                                      .max_tokens = 70,
                                      .fixed = "hk=1  hv=1 k=16 v=16 dtype=f32"},
                                     info_with_chunked_rule());
  ASSERT_TRUE(plan.ok()) << plan.error().message;
  ASSERT_EQ(plan->size(), 9u);
  for (const CaseSpec& spec : *plan) {
    EXPECT_EQ(spec.direction, Direction::kBackward);
    EXPECT_EQ(spec.num_v_heads, 1);
    EXPECT_EQ(spec.head_k_dim, 16);
    EXPECT_EQ(spec.dtype, DType::kF32);
    EXPECT_LE(packing_of(spec).total_tokens(), 70);
  }
}

TEST(RandomPlan, RefusesWhatCannotBeDrawn) {
  const CandidateInfo info = info_with_chunked_rule();
  const auto refusal = [&](const RandomPlanOptions& options) {
    const auto plan = make_random_plan(options, info);
    return plan.ok() ? std::string("accepted") : plan.error().message;
  };
  EXPECT_EQ(refusal({.ops = {Op::kCausalConv1d}}),
            "--op: expected an op that kernels offers, found causal_conv1d");
  EXPECT_NE(refusal({.ops = {Op::kChunkGatedDeltaRule}, .fixed = "colour=red"}).find("colour"),
            std::string::npos);
  EXPECT_NE(refusal({.ops = {Op::kChunkGatedDeltaRule}, .fixed = "hk=1 hv"}).find("hv"),
            std::string::npos);
}

}  // namespace
}  // namespace packproof
