#include "kernels/testing/delta_rule_call.h"

#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// Launches choose slices of V, stages and scans by what the device has. On the host the device is
// what the environment says, so that every choice of a GPU is taken here too: all give the same bits.

namespace packproof {
namespace {

/// A GPU as launches see it.
struct Device {
  const char* multiprocessors;
  const char* shared_bytes;
};

constexpr Device kHost{"1", "232448"};      // the widest slices
constexpr Device kA100{"108", "166912"};    // slices of 32 columns for few walks
constexpr Device kHopper{"132", "232448"};  // every walk has a processor
constexpr Device kSmall{"6", "232448"};     // slices of 64, and too few processors for all walks
constexpr Device kL4{"58", "101376"};       // one stage for 128 keys
constexpr Device kLargeL4{"1", "101376"};   // the same where there are more walks than processors

// A tile of every size; under a sanitizer the one that every choice is made for.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int64_t kHeadSizes[] = {128};
#else
constexpr int64_t kHeadSizes[] = {16, 64, 128, 192};
#endif

class ChosenDevice {
 public:
  explicit ChosenDevice(const Device& device) {
    setenv("PACKPROOF_SIMT_MULTIPROCESSORS", device.multiprocessors, 1);
    setenv("PACKPROOF_SIMT_SHARED_BYTES", device.shared_bytes, 1);
  }

  ~ChosenDevice() {
    unsetenv("PACKPROOF_SIMT_MULTIPROCESSORS");
    unsetenv("PACKPROOF_SIMT_SHARED_BYTES");
  }
};

std::vector<std::vector<uint64_t>> bits_on(const Device& device, const char* variant,
                                           const DeltaRuleCall& call) {
  const ChosenDevice chosen(device);
  DeltaRuleCall run = call;
  run.variant = variant;
  run.output.fill(DeltaRuleCall::kUntouched);
  const LaunchResult result = run.launch();
  EXPECT_EQ(result.status, PACKPROOF_OK) << result.sentence;
  return {run.output.bits(), run.final_state.bits()};
}

TEST(ChunkChoices, EveryDeviceGivesTheSameBits) {
  const TestPacking packing({130, 1, 0, 65, 20}, 1);
  for (const int32_t dtype : {PACKPROOF_F16, PACKPROOF_BF16}) {
    for (const int64_t k_dim : kHeadSizes) {
      DeltaRuleCall call =
          DeltaRuleCall::chunked(packing.view(), 1, packing.total(), {1, 2, k_dim, 128}, dtype);
      const auto bits = bits_on(kHost, "chunk_gated_delta_rule_fwd", call);
      for (const Device& device : {kA100, kHopper, kSmall, kL4, kLargeL4}) {
        EXPECT_EQ(bits_on(device, "chunk_gated_delta_rule_fwd", call), bits)
            << "K = " << k_dim << ", " << device.multiprocessors << " multiprocessors with "
            << device.shared_bytes << " bytes";
      }
      if (k_dim <= 32 || k_dim > 128) continue;
      for (const Device& device : {kHost, kHopper, kSmall}) {
        EXPECT_EQ(bits_on(device, "chunk_gated_delta_rule_fwd_sm90", call), bits) << k_dim;
      }
    }
  }
}

TEST(ChunkChoices, PackedHasTheBitsOfAloneInTheSizesOfQwen) {
  const TestPacking packing({130, 1, 0, 65, 20}, 1);
  const ChosenDevice device(kSmall);  // fewer walks alone: another slice, another scan
  for (const char* variant : {"chunk_gated_delta_rule_fwd", "chunk_gated_delta_rule_fwd_sm90"}) {
    DeltaRuleCall packed = DeltaRuleCall::chunked(packing.view(), 1, packing.total(),
                                                  {1, 2, 128, 128}, PACKPROOF_BF16);
    packed.variant = variant;
    ASSERT_EQ(packed.launch().status, PACKPROOF_OK);
    for (int64_t n = 0; n < packing.num_seqs(); ++n) {
      const int64_t first = packing.cu[static_cast<size_t>(n)];
      const int64_t length = packing.lens[static_cast<size_t>(n)];
      const DeltaRuleCall alone = packed.part(n, first, length);
      ASSERT_EQ(alone.launch().status, PACKPROOF_OK);
      EXPECT_EQ(alone.output.bits(), packed.output.slice(1, first, length).bits()) << n;
      EXPECT_EQ(alone.final_state.bits(), packed.final_state.slice(0, n, 1).bits()) << n;
    }
  }
}

TEST(ChunkChoices, TooLittleSharedMemoryIsOneSentence) {
  const TestPacking packing({130}, 0);
  const ChosenDevice device({"1", "65536"});
  const DeltaRuleCall call =
      DeltaRuleCall::chunked(packing.view(), 1, packing.total(), {1, 1, 64, 128}, PACKPROOF_BF16);
  const LaunchResult result = call.launch();
  EXPECT_NE(result.status, PACKPROOF_OK);
  EXPECT_NE(result.sentence.find("expected 1 to 65536 shared bytes, found"), std::string::npos)
      << result.sentence;
}

}  // namespace
}  // namespace packproof
