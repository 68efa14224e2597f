#include "kernels/testing/delta_rule_call.h"
#include "kernels/testing/loaded_library.h"
#include "kernels/testing/test_packing.h"
#include "kernels/testing/test_tensor.h"

#include <vector>

#include <gtest/gtest.h>

namespace packproof {
namespace {

/// Bits of everything that one call of each op writes.
std::vector<uint64_t> bits_of_all_ops(const packproof_library& library, int32_t dtype) {
  std::vector<uint64_t> bits;
  const auto keep = [&bits](const TestTensor& tensor) {
    const std::vector<uint64_t> more = tensor.bits();
    bits.insert(bits.end(), more.begin(), more.end());
  };
  const TestPacking packing({3, 0, 50, 1}, 2, TestMetadata::kBoth);
  {
    const TestTensor x = TestTensor::random(dtype, {1, packing.total(), 40}, 1);
    const TestTensor weight = TestTensor::random(dtype, {40, 4}, 2);
    const TestTensor initial = TestTensor::random(dtype, {4, 40, 3}, 3);
    const TestTensor output(dtype, {1, packing.total(), 40}), final(dtype, {4, 40, 3});
    packproof_causal_conv1d_fwd_args args{};
    args.struct_size = sizeof(args);
    args.packing = packing.view();
    args.x = x.view();
    args.weight = weight.view();
    args.initial_state = initial.view();
    args.output = output.view();
    args.final_state = final.view();
    args.activation = PACKPROOF_SILU;
    EXPECT_EQ(launch_on(library, PACKPROOF_CAUSAL_CONV1D, args).status, PACKPROOF_OK);
    keep(output);
    keep(final);
  }
  for (const int64_t k_dim : {16, 100, 200}) {
    DeltaRuleCall call =
        DeltaRuleCall::random(packing.view(), 1, packing.total(), {1, 2, k_dim, 36}, dtype);
    if (k_dim == 100) {
      call.g = TestTensor();
      call.a = TestTensor::random(dtype, {1, packing.total(), 2}, 4, -30.0, 30.0);
      call.A_log = TestTensor::random(PACKPROOF_F32, {2}, 5, -4.0, 1.0);
      call.dt_bias = TestTensor::random(PACKPROOF_F32, {2}, 6);
    }
    EXPECT_EQ(call.launch(library).status, PACKPROOF_OK);
    keep(call.output);
    keep(call.final_state);
  }
  {
    const TestTensor x = TestTensor::random(dtype, {7, 130}, 7);
    const TestTensor z = TestTensor::random(dtype, {7, 130}, 8, -100.0, 100.0);
    const TestTensor weight = TestTensor::random(dtype, {130}, 9);
    const TestTensor output(dtype, {7, 130});
    packproof_gated_rms_norm_fwd_args args{};
    args.struct_size = sizeof(args);
    args.x = x.view();
    args.z = z.view();
    args.weight = weight.view();
    args.output = output.view();
    args.eps = 1e-6f;
    EXPECT_EQ(launch_on(library, PACKPROOF_GATED_RMS_NORM, args).status, PACKPROOF_OK);
    keep(output);
  }
  return bits;
}

TEST(KernelLibrary, DescribesItself) {
  for (const std::string& file : runnable_library_files()) {
    const packproof_library& library = load_library(file);
    EXPECT_EQ(library.struct_size, sizeof(packproof_library));
    EXPECT_EQ(library.abi_version, PACKPROOF_ABI_VERSION);
    EXPECT_EQ(library.device, PACKPROOF_DEVICE_HOST);
    EXPECT_STREQ(library.name, "packproof-kernels");
    EXPECT_EQ(library.bitwise_pack_invariant, 1);
    EXPECT_NE(library.set_schedule, nullptr);
    ASSERT_EQ(library.num_kernels, 5);
    for (int64_t i = 0; i < library.num_kernels; ++i) {
      EXPECT_EQ(library.kernels[i].struct_size, sizeof(packproof_kernel));
      EXPECT_EQ(library.kernels[i].direction, PACKPROOF_FORWARD);
      EXPECT_NE(library.kernels[i].launch, nullptr);
    }
  }
}

TEST(KernelLibrary, EveryBuildHasTheSameBits) {
  const std::vector<std::string> files = runnable_library_files();
  if (files.size() < 2) GTEST_SKIP() << "this CPU runs the baseline build only";
  for (const int32_t dtype : {PACKPROOF_F32, PACKPROOF_F16, PACKPROOF_BF16}) {
    const std::vector<uint64_t> first = bits_of_all_ops(load_library(files[0]), dtype);
    EXPECT_GT(first.size(), 10000u);
    EXPECT_EQ(first, bits_of_all_ops(load_library(files[1]), dtype)) << dtype;
  }
}

TEST(KernelLibrary, NoScheduleChangesABit) {
  const packproof_library& library = fastest_library();
  library.set_schedule(0);
  const std::vector<uint64_t> natural = bits_of_all_ops(library, PACKPROOF_BF16);
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    library.set_schedule(seed);
    EXPECT_EQ(bits_of_all_ops(library, PACKPROOF_BF16), natural) << seed;
  }
  library.set_schedule(0);
}

}  // namespace
}  // namespace packproof
