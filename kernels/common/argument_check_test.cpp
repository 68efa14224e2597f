#include "kernels/common/argument_check.h"

#include "kernels/testing/delta_rule_call.h"
#include "kernels/testing/loaded_library.h"

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// Bad arguments come back as a status and one sentence, before anything is written.

namespace packproof {
namespace {

using DeltaArgs = packproof_gated_delta_rule_fwd_args;

struct Refusal {
  std::function<void(DeltaArgs&)> spoil;
  packproof_status status;
  std::string sentence;
};

const TestPacking& packing() {
  static const TestPacking kPacking({2, 3}, 1, TestMetadata::kCuSeqlens);
  return kPacking;
}

void expect_refusal(const Refusal& refusal) {
  const DeltaRuleCall call =
      DeltaRuleCall::random(packing().view(), 1, packing().total(), {1, 2, 8, 4}, PACKPROOF_F32);
  const std::vector<uint64_t> before = call.output.bits();
  DeltaArgs args = call.args();
  refusal.spoil(args);
  const packproof_library& library = fastest_library();
  const LaunchResult result = launch_on(library, PACKPROOF_RECURRENT_GATED_DELTA_RULE, args);
  EXPECT_EQ(result.status, refusal.status) << refusal.sentence;
  EXPECT_EQ(result.sentence, "recurrent_gated_delta_rule: " + refusal.sentence);
  EXPECT_EQ(call.output.bits(), before);
  // The table gives the same sentence for what is unsupported, and leaves wrong calls to launch.
  const char* reason =
      kernel_of(library, PACKPROOF_RECURRENT_GATED_DELTA_RULE, &args).unsupported_reason(&args, 0);
  if (refusal.status == PACKPROOF_NOT_SUPPORTED) {
    ASSERT_NE(reason, nullptr);
    EXPECT_EQ(reason, result.sentence);
  } else {
    EXPECT_EQ(reason, nullptr);
  }
}

TEST(ArgumentCheck, RefusesShapesRanksAndDtypes) {
  expect_refusal(
      {[](DeltaArgs& args) { args.struct_size = 8; }, PACKPROOF_INVALID_ARGUMENT,
       "expected struct_size of at least " + std::to_string(sizeof(DeltaArgs)) + ", found 8"});
  expect_refusal({[](DeltaArgs& args) { args.q.rank = 3; }, PACKPROOF_INVALID_ARGUMENT,
                  "expected q of rank 4 [B, T, Hk, K], found rank 3"});
  expect_refusal({[](DeltaArgs& args) { args.k.shape[3] = 12; }, PACKPROOF_INVALID_ARGUMENT,
                  "expected k of shape [B=1, T=6, Hk=1, K=8], found [1, 6, 1, 12]"});
  expect_refusal({[](DeltaArgs& args) { args.beta.dtype = PACKPROOF_BF16; },
                  PACKPROOF_INVALID_ARGUMENT, "expected beta in f32, found bf16"});
  expect_refusal({[](DeltaArgs& args) { args.q.dtype = PACKPROOF_F64; }, PACKPROOF_NOT_SUPPORTED,
                  "expected q in f32, f16 or bf16, found f64"});
  expect_refusal({[](DeltaArgs& args) { args.q.shape[3] = 260; }, PACKPROOF_NOT_SUPPORTED,
                  "expected K to be a multiple of 4 from 4 to 256, found 260"});
  expect_refusal({[](DeltaArgs& args) { args.v.shape[3] = 6; }, PACKPROOF_NOT_SUPPORTED,
                  "expected V to be a multiple of 4 from 4 to 256, found 6"});
  expect_refusal({[](DeltaArgs& args) { args.v.data = nullptr; }, PACKPROOF_INVALID_ARGUMENT,
                  "expected data for v of shape [1, 6, 2, 4], found a null pointer"});
  expect_refusal({[](DeltaArgs& args) { args.beta = {}; }, PACKPROOF_INVALID_ARGUMENT,
                  "expected beta of shape [B=1, T=6, Hv=2], found none"});
  expect_refusal({[](DeltaArgs& args) { args.g = {}; }, PACKPROOF_INVALID_ARGUMENT,
                  "expected either g or a with A_log and dt_bias, found neither"});
  expect_refusal({[](DeltaArgs& args) { args.initial_state.shape[0] = 3; },
                  PACKPROOF_INVALID_ARGUMENT,
                  "expected initial_state of shape [N=2, Hv=2, K=8, V=4], found [3, 2, 8, 4]"});
}

TEST(ArgumentCheck, RefusesStridesAndAliases) {
  expect_refusal(
      {[](DeltaArgs& args) { args.k.stride[1] = -8; }, PACKPROOF_INVALID_ARGUMENT,
       "expected k with no negative size or stride, found size 6 and stride -8 on axis T"});
  expect_refusal({[](DeltaArgs& args) { args.k.stride[1] = INT64_MAX; }, PACKPROOF_INVALID_ARGUMENT,
                  "expected k within 2^58 elements, found shape [1, 6, 1, 8] with larger strides"});
  const std::string strides =
      "expected strides of output that each step beyond all that smaller ones reach, found "
      "elements "
      "that share memory or interleave";
  expect_refusal(
      {[](DeltaArgs& args) { args.output.stride[1] = 4; }, PACKPROOF_NOT_SUPPORTED, strides});
  // The last column is the next head.
  expect_refusal(
      {[](DeltaArgs& args) { args.output.stride[2] = 3; }, PACKPROOF_NOT_SUPPORTED, strides});
  expect_refusal({[](DeltaArgs& args) { args.output = args.v; }, PACKPROOF_INVALID_ARGUMENT,
                  "expected output apart from v, found that they overlap in memory"});
  expect_refusal({[](DeltaArgs& args) { args.final_state = args.initial_state; },
                  PACKPROOF_INVALID_ARGUMENT,
                  "expected final_state apart from initial_state, found that they overlap in "
                  "memory"});
}

TEST(ArgumentCheck, RefusesMetadataInsideOutputsOrBetweenAddresses) {
  const auto at = [](const void* data, ptrdiff_t bytes) {
    return static_cast<const void*>(static_cast<const unsigned char*>(data) + bytes);
  };
  expect_refusal({[&](DeltaArgs& args) { args.packing.cu_seqlens = at(args.output.data, 8); },
                  PACKPROOF_INVALID_ARGUMENT,
                  "expected output apart from cu_seqlens, found that they overlap in memory"});
  expect_refusal({[&](DeltaArgs& args) {
                    args.packing.seq_idx =
                        static_cast<const int32_t*>(at(args.final_state.data, 0));
                    args.packing.seq_idx_host = nullptr;
                  },
                  PACKPROOF_INVALID_ARGUMENT,
                  "expected final_state apart from seq_idx, found that they overlap in memory"});
  static const int64_t kBoundaries[] = {0, 2, 5, 0};
  std::string address(32, ' ');
  std::snprintf(address.data(), address.size(), "%p", at(kBoundaries, 4));
  address.resize(std::strlen(address.c_str()));
  expect_refusal({[&](DeltaArgs& args) {
                    args.packing.cu_seqlens = at(kBoundaries, 4);
                    args.packing.cu_seqlens_host = nullptr;
                    args.packing.cu_seqlens_dtype = PACKPROOF_I64;
                  },
                  PACKPROOF_INVALID_ARGUMENT,
                  "expected cu_seqlens aligned to its 8-byte elements, found address " + address});
}

TEST(ArgumentCheck, RefusesAWorkspaceThatHoldsATensor) {
  DeltaRuleCall call =
      DeltaRuleCall::chunked(packing().view(), 1, packing().total(), {1, 2, 8, 4}, PACKPROOF_BF16);
  DeltaArgs args = call.args();
  const packproof_kernel& kernel =
      kernel_of(fastest_library(), PACKPROOF_CHUNK_GATED_DELTA_RULE, &args);
  const size_t bytes = kernel.workspace_size(&args);
  auto* workspace = static_cast<unsigned char*>(test_workspace(bytes + 4096));
  args.q.data = workspace + 256;
  packproof_message message{};
  EXPECT_EQ(kernel.launch(&args, workspace, bytes, nullptr, &message), PACKPROOF_INVALID_ARGUMENT);
  EXPECT_STREQ(
      message.text,
      "chunk_gated_delta_rule: expected q apart from the workspace, found that they overlap "
      "in memory");
  EXPECT_EQ(kernel.launch(&args, workspace + 8, bytes, nullptr, &message),
            PACKPROOF_INVALID_ARGUMENT);
}

TEST(ArgumentCheck, RefusesMetadataThatContradictsItself) {
  static const int32_t kNotFromZero[] = {1, 2, 5};
  static const int32_t kDecreasing[] = {0, 4, 3};
  static const int32_t kTooLong[] = {0, 2, 7};
  static const int32_t kBadIds[] = {0, 0, -2, 1, 1, -1};
  const auto with_boundaries = [](const int32_t* values) {
    return [values](DeltaArgs& args) {
      args.packing.cu_seqlens = args.packing.cu_seqlens_host = values;
    };
  };
  expect_refusal({with_boundaries(kNotFromZero), PACKPROOF_INVALID_ARGUMENT,
                  "expected cu_seqlens to start at 0, found 1"});
  expect_refusal({with_boundaries(kDecreasing), PACKPROOF_INVALID_ARGUMENT,
                  "expected cu_seqlens that never decreases, found 3 after 4 at entry 2"});
  expect_refusal({with_boundaries(kTooLong), PACKPROOF_INVALID_ARGUMENT,
                  "expected cu_seqlens to end within total_tokens = 6, found 7"});
  expect_refusal({[](DeltaArgs& args) { args.packing.total_tokens = 5; },
                  PACKPROOF_INVALID_ARGUMENT,
                  "expected total_tokens to be the 6 rows of the token tensors, found 5"});
  expect_refusal({[](DeltaArgs& args) { args.packing.cu_seqlens_dtype = PACKPROOF_F32; },
                  PACKPROOF_INVALID_ARGUMENT, "expected cu_seqlens in i32 or i64, found f32"});
  expect_refusal({[](DeltaArgs& args) { args.packing.cu_seqlens = nullptr; },
                  PACKPROOF_INVALID_ARGUMENT,
                  "expected cu_seqlens beside cu_seqlens_host, found a null pointer"});
  expect_refusal(
      {[](DeltaArgs& args) { args.packing.seq_idx = args.packing.seq_idx_host = kBadIds; },
       PACKPROOF_INVALID_ARGUMENT, "expected seq_idx of at least -1, found -2 at row 2"});
  expect_refusal({[](DeltaArgs& args) {
                    args.packing.cu_seqlens = args.packing.cu_seqlens_host = nullptr;
                    args.packing.seq_idx = packing().seq_idx.data();
                  },
                  PACKPROOF_NOT_SUPPORTED,
                  "expected cu_seqlens in a packed call, found seq_idx alone"});
  expect_refusal(
      {[](DeltaArgs& args) { args.packing.cu_seqlens = args.packing.cu_seqlens_host = nullptr; },
       PACKPROOF_INVALID_ARGUMENT,
       "expected num_seqs to be the batch size 1 of a dense call, found 2"});
}

LaunchResult update_with(const std::vector<int32_t>& slots) {
  const TestTensor x(PACKPROOF_F32, {3, 4}), weight(PACKPROOF_F32, {4, 2});
  const TestTensor pool(PACKPROOF_F32, {5, 4, 1}), output(PACKPROOF_F32, {3, 4});
  const TestTensor indices = TestTensor::i32(slots);
  packproof_causal_conv1d_update_args args{};
  args.struct_size = sizeof(args);
  args.x = x.view();
  args.weight = weight.view();
  args.conv_state = pool.view();
  args.state_indices = indices.view();
  args.state_indices_host = slots.data();
  args.output = output.view();
  return launch_on(fastest_library(), PACKPROOF_CAUSAL_CONV1D_UPDATE, args);
}

TEST(ArgumentCheck, RefusesStateIndicesOutOfRangeOrTwice) {
  EXPECT_EQ(update_with({4, -1, 0}).status, PACKPROOF_OK);
  EXPECT_EQ(update_with({-1, -1, -1}).status, PACKPROOF_OK);
  EXPECT_EQ(
      update_with({4, -1, 5}).sentence,
      "causal_conv1d_update: expected state_indices of -1 or a slot below 5, found 5 at row 2");
  EXPECT_EQ(update_with({0, -2, 1}).sentence,
            "causal_conv1d_update: expected state_indices of -1 or a slot below 5, found -2 at row "
            "1");
  EXPECT_EQ(update_with({3, 1, 3}).sentence,
            "causal_conv1d_update: expected every slot at most once in state_indices, found slot 3 "
            "twice");
}

TEST(ArgumentCheck, RefusesConvOptionsWithASentence) {
  const TestPacking by_ids({2, 3}, 1, TestMetadata::kSeqIdx);
  const TestTensor x(PACKPROOF_F32, {1, 6, 4}), weight(PACKPROOF_F32, {4, 9});
  const TestTensor narrow(PACKPROOF_F32, {4, 4}), state(PACKPROOF_F32, {2, 4, 3});
  const TestTensor output(PACKPROOF_F32, {1, 6, 4});
  packproof_causal_conv1d_fwd_args args{};
  args.struct_size = sizeof(args);
  args.packing = by_ids.view();
  args.x = x.view();
  args.weight = weight.view();
  args.output = output.view();
  const auto sentence = [&args] {
    const LaunchResult result = launch_on(fastest_library(), PACKPROOF_CAUSAL_CONV1D, args);
    EXPECT_EQ(result.status, PACKPROOF_NOT_SUPPORTED);
    return result.sentence;
  };
  EXPECT_EQ(sentence(), "causal_conv1d: expected a width of 2 to 8 taps, found 9");
  args.weight = narrow.view();
  args.activation = PACKPROOF_GELU;
  EXPECT_EQ(sentence(), "causal_conv1d: expected activation none (0) or SiLU (1), found GELU (2)");
  args.activation = PACKPROOF_SILU;
  args.final_state = state.view();
  EXPECT_EQ(sentence(),
            "causal_conv1d: expected cu_seqlens where states are given, found seq_idx alone");
}

}  // namespace
}  // namespace packproof
