#include "kernels/testing/all_ops.h"
#include "kernels/testing/loaded_library.h"

#include <vector>

#include <gtest/gtest.h>

namespace packproof {
namespace {

TEST(KernelLibrary, DescribesItself) {
  for (const std::string& file : runnable_library_files()) {
    const packproof_library& library = load_library(file);
    EXPECT_EQ(library.struct_size, sizeof(packproof_library));
    EXPECT_EQ(library.abi_version, PACKPROOF_ABI_VERSION);
    EXPECT_EQ(library.device, PACKPROOF_DEVICE_HOST);
    EXPECT_STREQ(library.name, "packproof-kernels");
    EXPECT_EQ(library.bitwise_pack_invariant, 1);
    EXPECT_NE(library.set_schedule, nullptr);
    ASSERT_EQ(library.num_kernels, 7);
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
