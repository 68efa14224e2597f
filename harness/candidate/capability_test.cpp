#include "harness/candidate/capability.h"

#include <gtest/gtest.h>

namespace packproof {
namespace {

/// A packed delta-rule call of two sequences, the first of `first` tokens.
OpCall delta_rule_call(int64_t key_heads, int64_t value_heads, int64_t first = 2) {
  OpCall call;
  call.op = Op::kChunkGatedDeltaRule;
  call.inputs["q"] = Tensor(DType::kF32, {1, 3, key_heads, 16});
  call.inputs["v"] = Tensor(DType::kF32, {1, 3, value_heads, 8});
  call.inputs["cu_seqlens"] =
      Tensor::from_ints(DType::kI32, {3}, std::vector<int64_t>{0, first, 3});
  return call;
}

TEST(CapabilityLimits, NothingDeclaredTakesEverything) {
  OpCall call = delta_rule_call(1, 2, 0);
  call.inputs["initial_state"] = Tensor(DType::kF32, {2, 2, 16, 8});
  EXPECT_EQ(beyond_limits({}, call), "");
}

TEST(CapabilityLimits, NamesWhatLiesBeyond) {
  const OpCall grouped = delta_rule_call(1, 2);
  EXPECT_EQ(beyond_limits({.grouped_heads = false}, grouped),
            "grouped heads are not declared: Hk = 1, Hv = 2");
  EXPECT_EQ(beyond_limits({.grouped_heads = false}, delta_rule_call(2, 2)), "");
  EXPECT_EQ(beyond_limits({.empty_sequences = false}, delta_rule_call(1, 1, 3)),
            "empty sequences are not declared: sequence 1 has no token");
  EXPECT_EQ(beyond_limits({.empty_sequences = false}, grouped), "");
  EXPECT_EQ(beyond_limits({.packed = false}, grouped), "packed calls are not declared");
  EXPECT_EQ(beyond_limits({.head_k_dims = {32, 64}}, grouped), "K = 16 where 32, 64 is declared");
  EXPECT_EQ(beyond_limits({.head_k_dims = {16}, .head_v_dims = {8}}, grouped), "");
  EXPECT_EQ(beyond_limits({.max_head_v_dim = 4}, grouped), "V = 8 where at most 4 is declared");
  EXPECT_EQ(beyond_limits({.max_head_k_dim = 16}, grouped), "");
  OpCall carried = grouped;
  carried.inputs["initial_state"] = Tensor(DType::kF32, {2, 2, 16, 8});
  EXPECT_EQ(beyond_limits({.initial_state = false}, carried), "initial states are not declared");
  OpCall pooled = grouped;
  pooled.inputs["state"] = Tensor(DType::kF32, {3, 2, 16, 8});
  EXPECT_EQ(beyond_limits({}, pooled), "state pools are not declared");
  EXPECT_EQ(beyond_limits({.state_pool = true}, pooled), "");
  pooled.op = Op::kRecurrentGatedDeltaRuleUpdate;
  EXPECT_EQ(beyond_limits({}, pooled), "");
}

TEST(Capability, DtypesAreDeclaredToo) {
  const Capability capability{.dtypes = {DType::kF64, DType::kF16, DType::kBF16},
                              .variants = {},
                              .limits = {.grouped_heads = false}};
  EXPECT_EQ(capability.beyond(DType::kF32, delta_rule_call(1, 1)), "f32 is not declared");
  EXPECT_EQ(capability.beyond(DType::kF16, delta_rule_call(1, 1)), "");
  EXPECT_EQ(capability.beyond(DType::kF16, delta_rule_call(1, 2)),
            "grouped heads are not declared: Hk = 1, Hv = 2");
  EXPECT_EQ(capability.case_dtype(0), DType::kF16);
  EXPECT_EQ(capability.case_dtype(3), DType::kBF16);
  EXPECT_EQ(Capability{}.case_dtype(1), DType::kF32);
}

TEST(Capability, RoundoffIsTheLargestDeclaredForTheDtype) {
  Capability capability;
  capability.approximations = {{DType::kF16, 0x1p-11, "a"}, {DType::kF32, 0x1p-12, "b"}};
  EXPECT_EQ(capability.unit_roundoff(DType::kF16), 0x1p-11);
  EXPECT_EQ(capability.unit_roundoff(DType::kF32), 0x1p-12);
  EXPECT_EQ(capability.unit_roundoff(DType::kBF16), 0x1p-24);
  capability.approximations = {{DType::kF16, 0x1p-30, "more exact than float32 counts as float32"}};
  EXPECT_EQ(capability.unit_roundoff(DType::kF16), 0x1p-24);
}

}  // namespace
}  // namespace packproof
