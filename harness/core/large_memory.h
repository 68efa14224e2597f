#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace packproof {

/// Zeroed memory whose size is known at its release too. From a few MiB on it comes straight from the
/// system, in huge pages: those are cleared when they are first written, by whichever thread does
/// so, and a fresh page of 4 KiB costs as much as the arithmetic on its contents.
void* allocate_zeroed(std::size_t bytes);
void release_zeroed(void* memory, std::size_t bytes);

/// For containers of tensor data: elements without a value are left as the memory comes, zero. True
/// of a container that takes its size once; one that shrinks and grows again keeps old elements.
template <typename T>
struct LargeMemory {
  using value_type = T;

  LargeMemory() = default;

  template <typename Other>
  LargeMemory(const LargeMemory<Other>&) {}

  T* allocate(std::size_t count) {
    if (count > static_cast<std::size_t>(-1) / sizeof(T)) throw std::bad_array_new_length();
    return static_cast<T*>(allocate_zeroed(count * sizeof(T)));
  }

  void deallocate(T* memory, std::size_t count) { release_zeroed(memory, count * sizeof(T)); }

  void construct(T*) {}

  template <typename... Arguments>
  void construct(T* element, Arguments&&... arguments) {
    ::new (static_cast<void*>(element)) T(std::forward<Arguments>(arguments)...);
  }

  bool operator==(const LargeMemory&) const = default;
};

}  // namespace packproof
