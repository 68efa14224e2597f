#pragma once

#include <cstddef>
#include <vector>

namespace packproof {

/// Memory of tests that kernels may read and write: plain in tests of the host libraries, mapped
/// into the device's address space in tests of the CUDA library. Each test program links one.
void* allocate_test_memory(std::size_t bytes);
void free_test_memory(void* memory);

/// Architecture of the device that the tests run on, 90 for sm_90; 0 for the host.
int test_device_sm();

template <typename T>
struct TestAllocator {
  using value_type = T;
  TestAllocator() = default;

  template <typename U>
  TestAllocator(const TestAllocator<U>&) {}  // NOLINT: allocators convert

  T* allocate(std::size_t count) {
    return static_cast<T*>(allocate_test_memory(count * sizeof(T)));
  }

  void deallocate(T* memory, std::size_t) { free_test_memory(memory); }

  bool operator==(const TestAllocator&) const = default;
};

template <typename T>
using TestVector = std::vector<T, TestAllocator<T>>;

}  // namespace packproof
