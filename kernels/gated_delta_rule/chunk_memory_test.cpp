#include "kernels/testing/delta_rule_call.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/mman.h>

// Layouts in memory, metadata on the device alone, schedules of threads, and refusals of the chunked
// kernel.

namespace packproof {
namespace {

class ChunkMemory : public testing::TestWithParam<int32_t> {};

INSTANTIATE_TEST_SUITE_P(Dtypes, ChunkMemory, testing::Values(PACKPROOF_F16, PACKPROOF_BF16));

const TestPacking& packing() {
  static const TestPacking kPacking({4, 70, 1, 0, 130, 33}, 1);
  return kPacking;
}

DeltaRuleCall plain_call(int32_t dtype) {
  DeltaRuleCall call =
      DeltaRuleCall::chunked(packing().view(), 1, packing().total(), {1, 2, 24, 40}, dtype);
  EXPECT_EQ(call.launch().status, PACKPROOF_OK);
  return call;
}

TEST_P(ChunkMemory, StridedTensorsGiveTheSameBitsAndKeepTheirGaps) {
  const DeltaRuleCall plain = plain_call(GetParam());
  for (const int64_t gap : {3, 8}) {  // rows in pieces of 16 bytes, and not
    for (const int32_t norm : {0, 1}) {
      DeltaRuleCall packed = plain;
      packed.qk_l2norm = norm;
      DeltaRuleCall strided = packed;
      for (TestTensor DeltaRuleCall::*tensor :
           {&DeltaRuleCall::q, &DeltaRuleCall::k, &DeltaRuleCall::v, &DeltaRuleCall::g,
            &DeltaRuleCall::beta, &DeltaRuleCall::initial_state, &DeltaRuleCall::output,
            &DeltaRuleCall::final_state}) {
        strided.*tensor = (plain.*tensor).with_gap(gap);
      }
      ASSERT_EQ(packed.launch().status, PACKPROOF_OK);
      ASSERT_EQ(strided.launch().status, PACKPROOF_OK);
      EXPECT_EQ(strided.output.bits(), packed.output.bits());
      EXPECT_EQ(strided.final_state.bits(), packed.final_state.bits());
      EXPECT_TRUE(strided.output.gaps_intact());
      EXPECT_TRUE(strided.final_state.gaps_intact());
    }
  }
}

/// Columns first .. of the rows of a fused projection [B, T, heads, ...].
packproof_tensor columns_of(const packproof_tensor& fused, int64_t first,
                            const packproof_tensor& like) {
  packproof_tensor view = like;
  view.data = static_cast<uint16_t*>(fused.data) + first;
  view.stride[0] = fused.stride[0];
  view.stride[1] = fused.stride[1];
  view.stride[2] = like.shape[3];
  view.stride[3] = 1;
  return view;
}

TEST_P(ChunkMemory, ViewsOfOneProjectionGiveTheSameBitsAlignedOrNot) {
  const DeltaRuleCall plain = plain_call(GetParam());
  const int64_t total = packing().total();
  constexpr int64_t kKey = 24, kValues = 2 * 40;
  for (const int64_t shift : {0, 1}) {
    for (const int32_t norm : {0, 1}) {
      TestTensor fused(GetParam(), {1, total, 1, shift + 2 * kKey + kValues + 7});
      for (int64_t row = 0; row < total; ++row) {
        for (int64_t i = 0; i < kKey; ++i) {
          fused.set({0, row, 0, shift + i}, plain.q.at({0, row, 0, i}));
          fused.set({0, row, 0, shift + kKey + i}, plain.k.at({0, row, 0, i}));
        }
        for (int64_t i = 0; i < kValues; ++i) {
          fused.set({0, row, 0, shift + 2 * kKey + i}, plain.v.at({0, row, i / 40, i % 40}));
        }
      }
      DeltaRuleCall call = plain;
      call.qk_l2norm = norm;
      ASSERT_EQ(call.launch().status, PACKPROOF_OK);
      const std::vector<uint64_t> output = call.output.bits(), state = call.final_state.bits();
      call.output.fill(DeltaRuleCall::kUntouched);
      packproof_gated_delta_rule_fwd_args args = call.args();
      args.q = columns_of(fused.view(), shift, args.q);
      args.k = columns_of(fused.view(), shift + kKey, args.k);
      args.v = columns_of(fused.view(), shift + 2 * kKey, args.v);
      const LaunchResult result = launch_on(fastest_library(), call.op, args);
      ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
      EXPECT_EQ(call.output.bits(), output) << "shift " << shift << ", norm " << norm;
      EXPECT_EQ(call.final_state.bits(), state) << "shift " << shift << ", norm " << norm;
    }
  }
}

TEST_P(ChunkMemory, OffsetsBeyondThirtyTwoBitsReachTheirRows) {
  constexpr int64_t kPitch = int64_t{1} << 26, kRows = 70;  // elements; the last row is past 2^32
  const size_t bytes = static_cast<size_t>(kPitch * kRows) * 2;
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  DeltaRuleCall call =
      DeltaRuleCall::chunked(dense_packing(1, kRows), 1, kRows, {1, 1, 8, 8}, GetParam());
  ASSERT_EQ(call.launch().status, PACKPROOF_OK);
  const std::vector<uint64_t> expected = call.output.bits();
  call.output.fill(DeltaRuleCall::kUntouched);
  packproof_gated_delta_rule_fwd_args args = call.args();
  packproof_tensor* const tensors[] = {&args.q, &args.k, &args.v};
  for (int64_t i = 0; i < 3; ++i) {
    packproof_tensor& tensor = *tensors[i];
    auto* wide = static_cast<uint16_t*>(memory) + 8 * i;
    for (int64_t row = 0; row < kRows; ++row) {
      for (int64_t e = 0; e < 8; ++e) {
        wide[row * kPitch + e] = static_cast<const uint16_t*>(tensor.data)[row * 8 + e];
      }
    }
    tensor.data = wide;
    tensor.stride[0] = kPitch * kRows;
    tensor.stride[1] = kPitch;
  }
  const LaunchResult result = launch_on(fastest_library(), call.op, args);
  EXPECT_EQ(result.status, PACKPROOF_OK) << result.sentence;
  EXPECT_EQ(call.output.bits(), expected);
  munmap(memory, bytes);
}

TEST_P(ChunkMemory, MetadataOnTheDeviceAloneGiveTheSameBits) {
  const DeltaRuleCall plain = plain_call(GetParam());
  DeltaRuleCall call = plain_call(GetParam());
  call.output.fill(DeltaRuleCall::kUntouched);
  call.packing.cu_seqlens_host = nullptr;
  const LaunchResult result = call.launch();
  ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
  EXPECT_EQ(call.output.bits(), plain.output.bits());
  EXPECT_EQ(call.final_state.bits(), plain.final_state.bits());
}

TEST_P(ChunkMemory, NoScheduleChangesABit) {
  // Bit 0 of a seed picks how products are summed, so only seeds that share it compare.
  const packproof_library& library = fastest_library();
  for (const uint64_t mode : {0, 1}) {
    library.set_schedule(mode);
    const DeltaRuleCall first = plain_call(GetParam());
    for (uint64_t seed = 2; seed <= 8; seed += 2) {
      library.set_schedule(seed + mode);
      const DeltaRuleCall next = plain_call(GetParam());
      EXPECT_EQ(next.output.bits(), first.output.bits()) << seed + mode;
      EXPECT_EQ(next.final_state.bits(), first.final_state.bits()) << seed + mode;
    }
  }
  library.set_schedule(0);
}

TEST(ChunkRefusals, SayWhatWasExpected) {
  const DeltaRuleCall call = DeltaRuleCall::chunked(packing().view(), 1, packing().total(),
                                                    {1, 2, 24, 40}, PACKPROOF_BF16);
  const auto expect = [](const packproof_gated_delta_rule_fwd_args& args, packproof_status status,
                         const std::string& sentence) {
    const LaunchResult result =
        launch_on(fastest_library(), PACKPROOF_CHUNK_GATED_DELTA_RULE, args);
    EXPECT_EQ(result.status, status);
    EXPECT_EQ(result.sentence, "chunk_gated_delta_rule: " + sentence);
  };
  packproof_gated_delta_rule_fwd_args args = call.args();
  args.chunk_size = 32;
  expect(args, PACKPROOF_NOT_SUPPORTED, "expected chunk_size of 64 or 0, found 32");
  const DeltaRuleCall single =
      DeltaRuleCall::chunked(packing().view(), 1, packing().total(), {1, 2, 24, 40}, PACKPROOF_F32);
  expect(single.args(), PACKPROOF_NOT_SUPPORTED, "expected q in f16 or bf16, found f32");
  const DeltaRuleCall large = DeltaRuleCall::chunked(packing().view(), 1, packing().total(),
                                                     {1, 2, 260, 40}, PACKPROOF_BF16);
  expect(large.args(), PACKPROOF_NOT_SUPPORTED,
         "expected K to be a multiple of 1 from 1 to 256, found 260");

  packproof_message message{};
  args = call.args();
  const packproof_kernel& kernel =
      kernel_of(fastest_library(), PACKPROOF_CHUNK_GATED_DELTA_RULE, &args);
  const size_t bytes = kernel.workspace_size(&args);
  EXPECT_GT(bytes, 0u);
  EXPECT_EQ(kernel.launch(&args, nullptr, 0, nullptr, &message), PACKPROOF_INVALID_ARGUMENT);
  EXPECT_EQ(std::string(message.text).find("chunk_gated_delta_rule: expected a workspace of at"),
            0u);
}

}  // namespace
}  // namespace packproof
