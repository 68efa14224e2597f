#include "kernels/testing/test_memory.h"

#include <new>

#include <cuda_runtime_api.h>

namespace packproof {

// Pinned host memory: one address on both sides, small tests need no copies.
void* allocate_test_memory(std::size_t bytes) {
  void* memory = nullptr;
  if (cudaMallocHost(&memory, bytes == 0 ? 1 : bytes) != cudaSuccess) throw std::bad_alloc();
  return memory;
}

void free_test_memory(void* memory) { cudaFreeHost(memory); }

int test_device_sm() {
  int device = 0, major = 0, minor = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
  return 10 * major + minor;
}

}  // namespace packproof
