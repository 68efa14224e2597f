#include "kernels/plain/plain_test_support.h"
#include "kernels/testing/test_packing.h"
#include "kernels/testing/test_tensor.h"

#include <functional>

#include <gtest/gtest.h>

namespace packproof {
namespace {

/// Arguments of one convolution's backward that every refusal starts from.
struct ConvBackward {
  TestPacking packing{{3, 2}, 1, TestMetadata::kBoth};
  TestTensor x = TestTensor::random(PACKPROOF_F32, {1, 6, 4}, 1);
  TestTensor weight = TestTensor::random(PACKPROOF_F32, {4, 3}, 2);
  TestTensor d_output = TestTensor::random(PACKPROOF_F32, {1, 6, 4}, 3);
  TestTensor d_x{PACKPROOF_F32, {1, 6, 4}}, d_weight{PACKPROOF_F32, {4, 3}};
  TestTensor d_bias{PACKPROOF_F32, {4}}, d_initial_state{PACKPROOF_F32, {2, 4, 2}};

  packproof_causal_conv1d_bwd_args args() {
    packproof_causal_conv1d_bwd_args args{};
    args.struct_size = sizeof args;
    args.packing = packing.view();
    args.x = x.view();
    args.weight = weight.view();
    args.d_output = d_output.view();
    for (TestTensor* gradient : {&d_x, &d_weight, &d_bias, &d_initial_state}) gradient->fill(-77.0);
    args.d_x = d_x.view();
    args.d_weight = d_weight.view();
    args.d_bias = d_bias.view();
    args.d_initial_state = d_initial_state.view();
    return args;
  }

  bool untouched() const {
    for (const TestTensor* gradient : {&d_x, &d_weight, &d_bias, &d_initial_state}) {
      for (const uint64_t bits : gradient->bits()) {
        if (bits != d_x_pattern()) return false;
      }
    }
    return true;
  }

  static uint64_t d_x_pattern() {
    TestTensor one(PACKPROOF_F32, {1});
    one.fill(-77.0);
    return one.bits()[0];
  }
};

TEST(PlainLibrary, GradientsThatNobodyWantsAreNotWritten) {
  ConvBackward call;
  packproof_causal_conv1d_bwd_args args = call.args();
  args.d_x = args.d_weight = args.d_initial_state = packproof_tensor{};
  const LaunchResult result = launch(PACKPROOF_CAUSAL_CONV1D, PACKPROOF_BACKWARD, args);
  ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
  for (int64_t c = 0; c < 4; ++c) EXPECT_NE(call.d_bias.at({c}), -77.0);
}

TEST(PlainRefusals, RefusesBeforeAnythingIsWritten) {
  using Args = packproof_causal_conv1d_bwd_args;
  const int32_t decreasing[] = {0, 4, 3}, late[] = {1, 3, 5}, beyond[] = {0, 3, 7};
  const int32_t jumping[] = {0, 1, 0, 1, 1, -1}, negative[] = {0, 0, 0, 1, 1, -2};

  struct Refusal {
    std::function<void(Args&)> damage;
    packproof_status status;
    std::string sentence;
  };

  const packproof_status invalid = PACKPROOF_INVALID_ARGUMENT;
  const std::vector<Refusal> refusals{
      {[](Args& a) { a.struct_size = 8; }, invalid, "expected struct_size of at least"},
      {[](Args& a) { a.x.rank = 2; }, invalid, "expected x of rank 3, found rank 2"},
      {[](Args& a) { a.x.dtype = PACKPROOF_F64; }, PACKPROOF_NOT_SUPPORTED,
       "expected token tensors in f32, f16 or bf16"},
      {[](Args& a) { a.activation = PACKPROOF_GELU; }, PACKPROOF_NOT_SUPPORTED,
       "expected activation none or SiLU"},
      {[](Args& a) { a.weight.shape[0] = 5; }, invalid, "expected weight of shape [4, 3]"},
      {[](Args& a) { a.d_output = {}; }, invalid,
       "expected d_output of shape [1, 6, 4], found none"},
      {[](Args& a) { a.d_output.dtype = PACKPROOF_BF16; }, invalid,
       "expected d_output in f32, found bf16"},
      {[](Args& a) { a.d_x.stride[1] = -4; }, invalid, "without negative sizes or strides"},
      {[](Args& a) { a.d_x.stride[1] = 2; }, PACKPROOF_NOT_SUPPORTED,
       "expected strides of outputs that each step beyond"},
      {[](Args& a) { a.d_x.data = a.x.data; }, invalid, "expected d_x apart from x"},
      {[](Args& a) { a.d_weight.data = nullptr; }, invalid, "expected data for d_weight"},
      {[](Args& a) { a.d_bias.rank = 0; }, invalid, "found rank 0 with data"},
      {[](Args& a) { a.x.data = static_cast<char*>(a.x.data) + 1; }, invalid,
       "expected x aligned to its 4-byte elements"},
      {[](Args& a) { a.x.stride[0] = INT64_MAX, a.x.shape[0] = 2; }, invalid,
       "expected one batch row in a packed call, found 2"},
      {[](Args& a) { a.weight.stride[0] = INT64_MAX; }, invalid, "expected weight within 2^58"},
      {[](Args& a) { a.packing.num_seqs = -1; }, invalid, "expected num_seqs in 0..2^31-1"},
      {[](Args& a) { a.packing.total_tokens = 5; }, invalid, "expected total_tokens to be the 6"},
      {[](Args& a) { a.packing.cu_seqlens_dtype = PACKPROOF_F32; }, invalid,
       "expected cu_seqlens in i32 or i64"},
      {[](Args& a) { a.packing.cu_seqlens = nullptr; }, invalid,
       "expected cu_seqlens beside its host copy"},
      {[&](Args& a) { a.packing.cu_seqlens = late; }, invalid, "cu_seqlens to start at 0, found 1"},
      {[&](Args& a) { a.packing.cu_seqlens = decreasing; }, invalid, "found 3 after 4 at entry 2"},
      {[&](Args& a) { a.packing.cu_seqlens = beyond; }, invalid, "found 7 after 3 at entry 2"},
      {[&](Args& a) { a.packing.seq_idx = negative; }, invalid,
       "expected seq_idx of at least -1, found -2 at row 5"},
      {[&](Args& a) {
         a.packing.cu_seqlens = a.packing.cu_seqlens_host = nullptr;
         a.packing.seq_idx = jumping;
       },
       invalid, "expected seq_idx that defines sequences beside states"},
  };
  const packproof_kernel& kernel = row_of(PACKPROOF_CAUSAL_CONV1D, PACKPROOF_BACKWARD);
  for (const Refusal& refusal : refusals) {
    ConvBackward call;
    Args args = call.args();
    refusal.damage(args);
    const LaunchResult result = launch(PACKPROOF_CAUSAL_CONV1D, PACKPROOF_BACKWARD, args);
    EXPECT_EQ(result.status, refusal.status) << refusal.sentence;
    EXPECT_NE(result.sentence.find(refusal.sentence), std::string::npos) << result.sentence;
    EXPECT_EQ(kernel.unsupported_reason(&args, 0) != nullptr,
              refusal.status == PACKPROOF_NOT_SUPPORTED);
    EXPECT_TRUE(call.untouched()) << refusal.sentence;
  }
  ConvBackward call;
  const Args args = call.args();
  packproof_message message{};
  EXPECT_EQ(kernel.launch(&args, nullptr, 0, nullptr, &message), invalid);
  EXPECT_NE(std::string(message.text).find("expected a workspace of"), std::string::npos);
}

TEST(PlainRefusals, RefusesGatesHeadsAndSlots) {
  TestTensor state(PACKPROOF_F32, {2, 1, 2, 1}), output(PACKPROOF_F32, {3, 1, 1});
  const TestTensor q = TestTensor::random(PACKPROOF_F32, {3, 1, 2}, 1);
  const TestTensor v = TestTensor::random(PACKPROOF_F32, {3, 1, 1}, 2);
  const TestTensor g = TestTensor::random(PACKPROOF_F32, {3, 1}, 3, -1.0, 0.0);
  const TestTensor beta = TestTensor::random(PACKPROOF_F32, {3, 1}, 4, 0.1, 0.9);
  const auto sentence = [&](const std::vector<int32_t>& slots, auto&& damage) {
    const TestTensor indices = slots.empty() ? TestTensor() : TestTensor::i32(slots);
    packproof_gated_delta_rule_update_args args{};
    args.struct_size = sizeof args;
    args.q = args.k = q.view();
    args.v = v.view();
    args.g = g.view();
    args.beta = beta.view();
    args.state = state.view();
    args.output = output.view();
    args.state_indices = indices.view();
    damage(args);
    return launch(PACKPROOF_RECURRENT_GATED_DELTA_RULE_UPDATE, PACKPROOF_FORWARD, args).sentence;
  };
  const auto nothing = [](auto&) {};
  EXPECT_EQ(sentence({1, -1, 0}, nothing), "");
  EXPECT_NE(sentence({}, nothing).find("a slot for each of the 3 rows"), std::string::npos);
  EXPECT_NE(sentence({0, 2, -1}, nothing).find("a slot below 2, found 2"), std::string::npos);
  EXPECT_NE(sentence({0, -1, 0}, nothing).find("found slot 0 twice"), std::string::npos);
  EXPECT_NE(sentence({0, 1, -1}, [](auto& a) { a.g = {}; }).find("found neither"),
            std::string::npos);
  EXPECT_NE(sentence({0, 1, -1}, [](auto& a) { a.a = a.g; }).find("found both"), std::string::npos);
  EXPECT_NE(sentence({0, 1, -1}, [](auto& a) { a.q.shape[1] = 2; }).find("multiples of the key"),
            std::string::npos);
}

}  // namespace
}  // namespace packproof
