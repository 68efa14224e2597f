#include "kernels/testing/delta_rule_definition.h"

#include <cmath>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

// The chunked kernel against spec 3.1 in double. The measure is the error of the chunked form of
// spec 3.2 in double with rounding at the kernel's points (emulate_chunks): the kernel's own sums in
// float may add a quarter to its 2-norm, over all cases; of outputs and states apart.

namespace packproof {
namespace {

enum class Gates { kSlow, kMixed, kStrong, kHundreds, kFromParts };

class ChunkAccuracy : public testing::TestWithParam<int32_t> {};

INSTANTIATE_TEST_SUITE_P(Dtypes, ChunkAccuracy, testing::Values(PACKPROOF_F16, PACKPROOF_BF16));

constexpr double kAllowed = 1.25;

void set_gates(DeltaRuleCall& call, Gates gates, uint64_t seed, int32_t dtype) {
  const std::vector<int64_t> shape = {call.v.shape()[0], call.v.shape()[1], call.v.shape()[2]};
  if (gates == Gates::kFromParts) {
    call.g = TestTensor();
    call.a = TestTensor::random(dtype, shape, seed, -4.0, 4.0);
    call.A_log = TestTensor::random(PACKPROOF_F32, {shape[2]}, seed + 1, -4.0, 2.0);
    call.dt_bias = TestTensor::random(PACKPROOF_F32, {shape[2]}, seed + 2, -1.0, 1.0);
    return;
  }
  if (gates == Gates::kSlow) return;
  call.g = TestTensor::random(PACKPROOF_F32, shape, seed, gates == Gates::kStrong ? -20.0 : -3.0);
  for (int64_t i = 0; i < shape[0] * shape[1] * shape[2]; ++i) {
    const int64_t head = i % shape[2], row = i / shape[2] % shape[1],
                  batch = i / shape[2] / shape[1];
    const double g = call.g.at({batch, row, head});
    call.g.set({batch, row, head}, g > 0.0 ? -0.01 * g : g);
    if (gates == Gates::kHundreds && i % 5 == 0) call.g.set({batch, row, head}, -100.0);
  }
}

/// Adds a launched call's errors; the outputs' and the states' apart.
void add_errors(const DeltaRuleCall& call, const std::vector<CallSequence>& sequences,
                int32_t dtype, SquaredError& output, SquaredError& state) {
  for (const CallSequence& sequence : sequences) {
    for (int64_t head = 0; head < call.v.shape()[2]; ++head) {
      const DeltaRuleResult kernel = result_of(call, sequence, head);
      const DeltaRuleResult emulation = emulate_chunks(call, sequence, head, dtype);
      const DeltaRuleResult exact = evaluate_recurrence(call, sequence, head);
      output.add(kernel.output, emulation.output, exact.output);
      state.add(kernel.final_state, emulation.final_state, exact.final_state);
    }
  }
}

void expect_within_emulation(const SquaredError& error, double unit, const std::string& what) {
  EXPECT_LE(error.of_kernel, kAllowed * kAllowed * error.of_emulation) << what;
  // The emulation is no free pass: factors of one product each, each rounded by up to `unit`, give
  // an error of about that size, a few of them in sequence.
  EXPECT_LE(error.of_emulation, 4.0 * unit * unit * error.of_values) << what;
  EXPECT_GT(error.of_values, 0.0) << what;
}

TEST_P(ChunkAccuracy, EveryTilingFollowsTheDefinition) {
  const TestPacking packing({0, 1, 40, 0, 3, 17, 64, 65, 130, 128, 5}, 2,
                            TestMetadata::kCuSeqlens64);
  for (const auto& [k_dim, v_dim] : std::vector<std::pair<int64_t, int64_t>>{{4, 3},
                                                                             {8, 8},
                                                                             {20, 12},
                                                                             {16, 16},
                                                                             {24, 40},
                                                                             {64, 64},
                                                                             {104, 136},
                                                                             {128, 128},
                                                                             {136, 24},
                                                                             {256, 8}}) {
    const DeltaRuleCall call = DeltaRuleCall::chunked(packing.view(), 1, packing.total(),
                                                      {1, 2, k_dim, v_dim}, GetParam());
    const LaunchResult result = call.launch();
    ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
    SquaredError output, state;
    add_errors(call, sequences_of(packing), GetParam(), output, state);
    const std::string what = std::to_string(k_dim) + " x " + std::to_string(v_dim);
    expect_within_emulation(output, unit_roundoff(GetParam()), what + ", outputs");
    expect_within_emulation(state, unit_roundoff(GetParam()), what + ", states");
    for (int64_t row = packing.total() - 2; row < packing.total(); ++row) {
      EXPECT_EQ(call.output.at({0, row, 1, 2}), DeltaRuleCall::kUntouched);
    }
  }
}

TEST_P(ChunkAccuracy, HoldsOverTwoHundredCasesOfEveryGateRegime) {
  std::srand(7);
  const auto below = [](int64_t bound) { return std::rand() % bound; };
  for (const Gates gates :
       {Gates::kSlow, Gates::kMixed, Gates::kStrong, Gates::kHundreds, Gates::kFromParts}) {
    SquaredError output, state;
    for (uint64_t seed = 0; seed < 40; ++seed) {
      std::vector<int64_t> lens;
      for (int64_t n = 1 + below(4); n > 0; --n)
        lens.push_back(below(5) == 0 ? below(150) : below(20));
      lens.push_back(1 + below(20));
      const TestPacking packing(lens, below(3));
      const int64_t group = 1 + below(3);
      DeltaRuleCall call = DeltaRuleCall::chunked(
          packing.view(), 1, packing.total(), {1, group, 4 + 4 * below(8), 8}, GetParam(), seed);
      set_gates(call, gates, seed, GetParam());
      if (below(3) == 0) call.initial_state = TestTensor();
      const LaunchResult result = call.launch();
      ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
      add_errors(call, sequences_of(packing), GetParam(), output, state);
    }
    const std::string what = "gates " + std::to_string(static_cast<int>(gates));
    expect_within_emulation(output, unit_roundoff(GetParam()), what + ", outputs");
    expect_within_emulation(state, unit_roundoff(GetParam()), what + ", states");
  }
}

TEST_P(ChunkAccuracy, DenseRowsAreSequencesAndOptionsAreFollowed) {
  DeltaRuleCall call =
      DeltaRuleCall::chunked(dense_packing(3, 70), 3, 70, {2, 6, 16, 8}, GetParam());
  call.initial_state = TestTensor();
  call.qk_l2norm = 0;
  call.scale = 0.75f;
  call.k = TestTensor::random(GetParam(), {3, 70, 2, 16}, 7, -0.25, 0.25);
  const LaunchResult result = call.launch();
  ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
  SquaredError output, state;
  add_errors(call, {{0, 0, 0, 70}, {1, 1, 0, 70}, {2, 2, 0, 70}}, GetParam(), output, state);
  expect_within_emulation(output, unit_roundoff(GetParam()), "outputs");
  expect_within_emulation(state, unit_roundoff(GetParam()), "states");
}

TEST_P(ChunkAccuracy, LongKeysUnderStrongGatesStayFinite) {
  // |k|^2 of about 500 makes (I + beta K K^T)^-1 overflow within a chunk; the gates keep the rule
  // itself at the size of its values.
  DeltaRuleCall call =
      DeltaRuleCall::chunked(dense_packing(1, 64), 1, 64, {1, 1, 16, 8}, GetParam());
  call.qk_l2norm = 0;
  call.k = TestTensor::random(GetParam(), {1, 64, 1, 16}, 7, -10.0, 10.0);
  call.g.fill(-30.0);
  ASSERT_EQ(call.launch().status, PACKPROOF_OK);
  SquaredError output, state;
  add_errors(call, {{0, 0, 0, 64}}, GetParam(), output, state);
  expect_within_emulation(output, unit_roundoff(GetParam()), "outputs");
  expect_within_emulation(state, unit_roundoff(GetParam()), "states");
}

TEST_P(ChunkAccuracy, GatesOfMinusInfinityForgetEverything) {
  DeltaRuleCall call =
      DeltaRuleCall::chunked(dense_packing(1, 100), 1, 100, {1, 2, 16, 8}, GetParam());
  for (int64_t head = 0; head < 2; ++head) {
    for (const int64_t row : {0, 5, 63, 64, 99}) call.g.set({0, row, head}, -HUGE_VAL);
  }
  ASSERT_EQ(call.launch().status, PACKPROOF_OK);
  for (TestTensor* tensor : {&call.g}) {
    for (int64_t i = 0; i < 200; ++i) {
      // The definition in double would subtract infinities.
      if (tensor->at({0, i / 2, i % 2}) < -1e4) tensor->set({0, i / 2, i % 2}, -1e4);
    }
  }
  SquaredError output, state;
  for (int64_t head = 0; head < 2; ++head) {
    const DeltaRuleResult kernel = result_of(call, {0, 0, 0, 100}, head);
    const DeltaRuleResult exact = evaluate_recurrence(call, {0, 0, 0, 100}, head);
    output.add(kernel.output, exact.output, exact.output);
    state.add(kernel.final_state, exact.final_state, exact.final_state);
  }
  const double unit = unit_roundoff(GetParam());
  EXPECT_LE(output.of_kernel, 4.0 * unit * unit * output.of_values);
  EXPECT_LE(state.of_kernel, 4.0 * unit * unit * state.of_values);
}

TEST_P(ChunkAccuracy, AgreesWithTheRecurrentKernel) {
  const TestPacking packing({3, 100, 16, 1, 200}, 1);
  const DeltaRuleCall chunked =
      DeltaRuleCall::chunked(packing.view(), 1, packing.total(), {1, 2, 64, 32}, GetParam());
  DeltaRuleCall recurrent = chunked;
  recurrent.op = PACKPROOF_RECURRENT_GATED_DELTA_RULE;
  recurrent.output = TestTensor(GetParam(), chunked.output.shape());
  recurrent.final_state = TestTensor(PACKPROOF_F32, chunked.final_state.shape());
  ASSERT_EQ(chunked.launch().status, PACKPROOF_OK);
  ASSERT_EQ(recurrent.launch().status, PACKPROOF_OK);
  SquaredError output, state;
  for (const CallSequence& sequence : sequences_of(packing)) {
    for (int64_t head = 0; head < 2; ++head) {
      const DeltaRuleResult a = result_of(chunked, sequence, head);
      const DeltaRuleResult b = result_of(recurrent, sequence, head);
      output.add(a.output, a.output, b.output);
      state.add(a.final_state, a.final_state, b.final_state);
    }
  }
  // As expect_within_emulation, and one rounding of the recurrent kernel's output.
  const double unit = unit_roundoff(GetParam());
  EXPECT_LE(output.of_kernel, 9.0 * unit * unit * output.of_values);
  EXPECT_LE(state.of_kernel, 4.0 * unit * unit * state.of_values);
}

}  // namespace
}  // namespace packproof
