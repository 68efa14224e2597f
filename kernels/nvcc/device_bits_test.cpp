#include "kernels/testing/all_ops.h"
#include "kernels/testing/loaded_library.h"

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

namespace packproof {
namespace {

void synchronise() { ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess); }

TEST(DeviceBits, HostAndDeviceHaveTheSameBits) {
  int num_devices = 0;
  if (cudaGetDeviceCount(&num_devices) != cudaSuccess || num_devices == 0) {
    GTEST_SKIP() << "no CUDA device";
  }
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

}  // namespace
}  // namespace packproof
