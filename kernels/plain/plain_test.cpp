#include "kernels/plain/plain_test_support.h"
#include "kernels/testing/test_packing.h"
#include "kernels/testing/test_tensor.h"

#include <set>

#include <gtest/gtest.h>

namespace packproof {
namespace {

TestTensor filled(std::vector<int64_t> shape, const std::vector<double>& values) {
  TestTensor tensor(PACKPROOF_F32, std::move(shape));
  auto* memory = static_cast<float*>(tensor.view().data);
  for (const double value : values) *memory++ = static_cast<float>(value);
  return tensor;
}

void expect_values(const TestTensor& tensor, const std::vector<double>& expected) {
  // The golden numbers are of order 1 and pass through at most 32 roundings of 2^-24.
  const double tolerance = 32.0 * 0x1p-24;
  const auto* values = static_cast<const float*>(tensor.view().data);
  for (size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(values[i], expected[i], tolerance) << i;
}

TEST(PlainLibrary, HasEveryOpInEveryDirection) {
  std::set<std::pair<int32_t, int32_t>> rows;
  for (int64_t i = 0; i < plain_library().num_kernels; ++i) {
    const packproof_kernel& kernel = plain_library().kernels[i];
    EXPECT_TRUE(rows.insert({kernel.op, kernel.direction}).second) << kernel.variant;
  }
  for (int32_t op = PACKPROOF_CAUSAL_CONV1D; op <= PACKPROOF_SWIGLU; ++op) {
    const bool update =
        op == PACKPROOF_CAUSAL_CONV1D_UPDATE || op == PACKPROOF_RECURRENT_GATED_DELTA_RULE_UPDATE;
    EXPECT_TRUE(rows.contains({op, PACKPROOF_FORWARD})) << op;
    EXPECT_EQ(rows.contains({op, PACKPROOF_BACKWARD}), !update) << op;
  }
}

/// The vector of spec 3.6: K = 2, V = 1, T = 3, no l2norm.
struct GoldenCall {
  TestPacking packing{{3}, 0};
  TestTensor q = filled({1, 3, 1, 2}, {0.6, -0.8, 1, 0, 0, 1});
  TestTensor k = filled({1, 3, 1, 2}, {0.8, 0.6, -0.6, 0.8, 0.28, 0.96});
  TestTensor v = filled({1, 3, 1, 1}, {1, -2, 0.5});
  TestTensor g = filled({1, 3, 1}, {-0.1, -0.7, -0.25});
  TestTensor beta = filled({1, 3, 1}, {0.9, 0.4, 0.75});
  TestTensor initial_state = filled({1, 1, 2, 1}, {0.5, -0.25});
};

TEST(PlainLibrary, GoldenVectorForward) {
  const GoldenCall golden;
  TestTensor output(PACKPROOF_F32, {1, 3, 1, 1});
  TestTensor final_state(PACKPROOF_F32, {1, 1, 2, 1});
  packproof_gated_delta_rule_fwd_args args{};
  args.struct_size = sizeof args;
  args.packing = golden.packing.view();
  args.q = golden.q.view();
  args.k = golden.k.view();
  args.v = golden.v.view();
  args.g = golden.g.view();
  args.beta = golden.beta.view();
  args.initial_state = golden.initial_state.view();
  args.output = output.view();
  args.final_state = final_state.view();
  for (const packproof_op op :
       {PACKPROOF_RECURRENT_GATED_DELTA_RULE, PACKPROOF_CHUNK_GATED_DELTA_RULE}) {
    output.fill(0.0);
    const LaunchResult result = launch(op, PACKPROOF_FORWARD, args);
    ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
    expect_values(output, {0.319908337082277, 0.655775928210617, 0.071171351623226});
    expect_values(final_state, {0.859051247141158, 0.100651490717991});
  }
}

TEST(PlainLibrary, GoldenVectorBackward) {
  const GoldenCall golden;
  const TestTensor d_output = filled({1, 3, 1, 1}, {1, -0.5, 2});
  const TestTensor d_final_state = filled({1, 1, 2, 1}, {0.3, -0.2});
  TestTensor d_q(PACKPROOF_F32, {1, 3, 1, 2}), d_k(PACKPROOF_F32, {1, 3, 1, 2});
  TestTensor d_v(PACKPROOF_F32, {1, 3, 1, 1}), d_g(PACKPROOF_F32, {1, 3, 1});
  TestTensor d_beta(PACKPROOF_F32, {1, 3, 1}), d_initial_state(PACKPROOF_F32, {1, 1, 2, 1});
  packproof_gated_delta_rule_bwd_args args{};
  args.struct_size = sizeof args;
  args.packing = golden.packing.view();
  args.q = golden.q.view();
  args.k = golden.k.view();
  args.v = golden.v.view();
  args.g = golden.g.view();
  args.beta = golden.beta.view();
  args.initial_state = golden.initial_state.view();
  args.d_output = d_output.view();
  args.d_final_state = d_final_state.view();
  args.d_q = d_q.view();
  args.d_k = d_k.view();
  args.d_v = d_v.view();
  args.d_g = d_g.view();
  args.d_beta = d_beta.view();
  args.d_initial_state = d_initial_state.view();
  const LaunchResult result =
      launch(PACKPROOF_RECURRENT_GATED_DELTA_RULE, PACKPROOF_BACKWARD, args);
  ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
  expect_values(d_q, {0.713858218186971, 0.135508242287382, -0.327887964105308, 0.167210584547570,
                      1.214881924480548, 0.142342703246452});
  expect_values(d_k, {0.238469542985959, -0.363840707545205, 0.151982161759025, -0.188782858253912,
                      -0.530375381020753, 0.938378168561813});
  expect_values(d_v, {-0.050273430797802, 0.156200495175080, 0.937233764908629});
  expect_values(d_g, {0.266005690915818, -0.104176076964261, -0.088689103209113});
  expect_values(d_beta, {-0.043223456075643, -0.693270717510881, 0.813969878391896});
  expect_values(d_initial_state, {0.316679646803488, -0.430663470056297});
}

/// Ids alone name the sequences of the delta rule: the same bits as by boundaries, an empty one too.
TEST(PlainLibrary, DeltaRuleFollowsIdsAlone) {
  const TestTensor q = TestTensor::random(PACKPROOF_F32, {1, 8, 1, 4}, 1);
  const TestTensor k = TestTensor::random(PACKPROOF_F32, {1, 8, 1, 4}, 2);
  const TestTensor v = TestTensor::random(PACKPROOF_F32, {1, 8, 2, 4}, 3);
  const TestTensor g = TestTensor::random(PACKPROOF_F32, {1, 8, 2}, 4, -0.5, 0.0);
  const TestTensor beta = TestTensor::random(PACKPROOF_F32, {1, 8, 2}, 5, 0.1, 0.9);
  std::vector<std::vector<uint64_t>> outputs, states;
  for (const TestMetadata metadata : {TestMetadata::kCuSeqlens, TestMetadata::kSeqIdx}) {
    const TestPacking packing({3, 0, 4}, 1, metadata);
    TestTensor output(PACKPROOF_F32, {1, 8, 2, 4}), final_state(PACKPROOF_F32, {3, 2, 4, 4});
    packproof_gated_delta_rule_fwd_args args{};
    args.struct_size = sizeof args;
    args.packing = packing.view();
    args.q = q.view();
    args.k = k.view();
    args.v = v.view();
    args.g = g.view();
    args.beta = beta.view();
    args.output = output.view();
    args.final_state = final_state.view();
    const LaunchResult result =
        launch(PACKPROOF_RECURRENT_GATED_DELTA_RULE, PACKPROOF_FORWARD, args);
    ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
    outputs.push_back(output.bits());
    states.push_back(final_state.bits());
  }
  EXPECT_EQ(outputs[0], outputs[1]);
  EXPECT_EQ(states[0], states[1]);
}

/// Components beyond rotary_dim pass through: every 16-bit pattern is loaded and stored unchanged.
TEST(PlainLibrary, SixteenBitPatternsPassThrough) {
  for (const int32_t dtype : {PACKPROOF_F16, PACKPROOF_BF16}) {
    TestTensor x(dtype, {1, 1, 1, 65536}), output(dtype, {1, 1, 1, 65536});
    auto* patterns = static_cast<uint16_t*>(x.view().data);
    for (uint32_t i = 0; i < 65536; ++i) patterns[i] = static_cast<uint16_t>(i);
    const int64_t position = 7;
    packproof_rope_fwd_args args{};
    args.struct_size = sizeof args;
    args.x = x.view();
    args.output = output.view();
    args.position_ids = {const_cast<int64_t*>(&position), {1, 1}, {1, 1}, 2, PACKPROOF_I64};
    args.theta = 1e4;
    ASSERT_EQ(launch(PACKPROOF_ROPE, PACKPROOF_FORWARD, args).status, PACKPROOF_OK);
    const auto* stored = static_cast<const uint16_t*>(output.view().data);
    const uint32_t infinity = dtype == PACKPROOF_F16 ? 0x7C00 : 0x7F80;
    for (uint32_t i = 0; i < 65536; ++i) {
      if ((i & 0x7FFF) > infinity) {
        EXPECT_GT(stored[i] & 0x7FFF, infinity) << i;
      } else {
        EXPECT_EQ(stored[i], i);
      }
    }
  }
}

}  // namespace
}  // namespace packproof
