#include "kernels/testing/all_ops.h"
#include "kernels/testing/delta_rule_call.h"
#include "kernels/testing/loaded_library.h"

#include <vector>

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

namespace packproof {
namespace {

void synchronise() { ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess); }

bool has_device() {
  int num_devices = 0;
  return cudaGetDeviceCount(&num_devices) == cudaSuccess && num_devices > 0;
}

TEST(DeviceBits, HostAndDeviceHaveTheSameBits) {
  if (!has_device()) GTEST_SKIP() << "no CUDA device";
  const packproof_library& device = load_library("packproof_kernels_cuda.so");
  ASSERT_EQ(device.device, PACKPROOF_DEVICE_CUDA);
  for (const int32_t dtype : {PACKPROOF_F32, PACKPROOF_F16, PACKPROOF_BF16}) {
    const std::vector<uint64_t> host_bits = bits_of_all_ops(fastest_library(), dtype);
    const std::vector<uint64_t> device_bits = bits_of_all_ops(device, dtype, synchronise);
    ASSERT_EQ(host_bits.size(), device_bits.size());
    size_t num_different = 0;
    for (size_t i = 0; i < host_bits.size(); ++i) num_different += host_bits[i] != device_bits[i];
    EXPECT_EQ(num_different, 0u) << "of " << host_bits.size() << " elements, dtype " << dtype;
  }
}

/// Chunked calls of two sizes: a block for some processors, so that the scan for few walks takes
/// them, and more blocks than any GPU has processors.
struct Walks {
  std::vector<int64_t> lens;
  int64_t num_k_heads;
  int64_t num_v_heads;
};

const Walks kFewWalks{{130, 1, 64, 0, 200, 65, 3000}, 2, 4};
const Walks kManyWalks{{130, 1, 200, 0, 330, 65}, 16, 64};

TEST(DeviceBits, AllScansOfTheChunkedRuleHaveTheSameBits) {
  if (!has_device()) GTEST_SKIP() << "no CUDA device";
  if (test_device_sm() != 90) GTEST_SKIP() << "no device of sm_90";
  const packproof_library& device = load_library("packproof_kernels_cuda.so");
  for (const Walks& walks : {kFewWalks, kManyWalks}) {
    const TestPacking packing(walks.lens, 2);
    for (const int32_t dtype : {PACKPROOF_F16, PACKPROOF_BF16}) {
      for (const int64_t k_dim : {40, 64, 100, 128}) {
        DeltaRuleCall call =
            DeltaRuleCall::chunked(packing.view(), 1, packing.total(),
                                   {walks.num_k_heads, walks.num_v_heads, k_dim, k_dim + 8}, dtype);
        std::vector<std::vector<uint64_t>> bits;
        for (const char* variant :
             {"chunk_gated_delta_rule_fwd_sm90", "chunk_gated_delta_rule_fwd"}) {
          call.variant = variant;
          call.output.fill(DeltaRuleCall::kUntouched);
          const LaunchResult result = call.launch(device);
          ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
          synchronise();
          bits.push_back(call.output.bits());
          bits.push_back(call.final_state.bits());
        }
        EXPECT_EQ(bits[0], bits[2]) << "outputs, K = " << k_dim << ", dtype " << dtype;
        EXPECT_EQ(bits[1], bits[3]) << "states, K = " << k_dim << ", dtype " << dtype;
      }
    }
  }
}

TEST(DeviceBits, ChunkedSequencesHaveTheBitsOfAlone) {
  if (!has_device()) GTEST_SKIP() << "no CUDA device";
  const packproof_library& device = load_library("packproof_kernels_cuda.so");
  const TestPacking packing(kManyWalks.lens, 2);
  const DeltaRuleShape shape{kManyWalks.num_k_heads, kManyWalks.num_v_heads, 128, 128};
  const DeltaRuleCall packed =
      DeltaRuleCall::chunked(packing.view(), 1, packing.total(), shape, PACKPROOF_BF16);
  ASSERT_EQ(packed.launch(device).status, PACKPROOF_OK);
  synchronise();
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    const int64_t first = packing.cu[static_cast<size_t>(n)];
    const int64_t length = packing.lens[static_cast<size_t>(n)];
    DeltaRuleCall alone = packed.part(n, first, length);
    ASSERT_EQ(alone.launch(device).status, PACKPROOF_OK);
    synchronise();
    EXPECT_EQ(alone.output.bits(), packed.output.slice(1, first, length).bits()) << n;
    EXPECT_EQ(alone.final_state.bits(), packed.final_state.slice(0, n, 1).bits()) << n;
  }
}

}  // namespace
}  // namespace packproof
