#pragma once

#include <cstddef>
#include <new>

namespace packproof {

/// Memory whose size is known at its release too. From a few MiB on it asks for huge pages: a fresh
/// page of 4 KiB costs as much as the arithmetic on its contents.
void* allocate_memory(std::size_t bytes);
void release_memory(void* memory, std::size_t bytes);

/// For containers of tensor data.
template <typename T>
struct LargeMemory {
  using value_type = T;

  LargeMemory() = default;

  template <typename Other>
  LargeMemory(const LargeMemory<Other>&) {}

  T* allocate(std::size_t count) {
    if (count > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(allocate_memory(count * sizeof(T)));
  }

  void deallocate(T* memory, std::size_t count) { release_memory(memory, count * sizeof(T)); }

  bool operator==(const LargeMemory&) const = default;
};

}  // namespace packproof
