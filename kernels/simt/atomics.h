#pragma once

#include "kernels/simt/collective.h"

#include <bit>
#include <concepts>
#include <cstdint>

namespace packproof::simt {

/// Replaces `*address` by `update(old)` in one relaxed step and returns the old value.
template <class Bits, class Update>
Bits atomic_update(Bits* address, Update update) {
  Bits old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(address, &old, update(old), false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {
  }
  return old;
}

/// A fence of the whole device; for ThreadSanitizer, release and acquire on one object.
void thread_fence();

}  // namespace packproof::simt

// CUDA's atomics: relaxed, as on the device. 32- and 64-bit integers, and float and double
// addition.

template <std::integral T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return __atomic_fetch_add(address, value, __ATOMIC_RELAXED);
}

inline float atomicAdd(float* address, float value) {
  const uint32_t old =
      packproof::simt::atomic_update(reinterpret_cast<uint32_t*>(address), [value](uint32_t bits) {
        return std::bit_cast<uint32_t>(std::bit_cast<float>(bits) + value);
      });
  return std::bit_cast<float>(old);
}

inline double atomicAdd(double* address, double value) {
  const uint64_t old =
      packproof::simt::atomic_update(reinterpret_cast<uint64_t*>(address), [value](uint64_t bits) {
        return std::bit_cast<uint64_t>(std::bit_cast<double>(bits) + value);
      });
  return std::bit_cast<double>(old);
}

template <std::integral T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return packproof::simt::atomic_update(address,
                                        [value](T old) { return old < value ? value : old; });
}

template <std::integral T>
T atomicMin(T* address, std::type_identity_t<T> value) {
  return packproof::simt::atomic_update(address,
                                        [value](T old) { return value < old ? value : old; });
}

template <std::integral T>
T atomicExch(T* address, std::type_identity_t<T> value) {
  return __atomic_exchange_n(address, value, __ATOMIC_RELAXED);
}

/// A failed exchange lets the other threads of the block run: a spin lock makes progress.
template <std::integral T>
T atomicCAS(T* address, std::type_identity_t<T> compare, std::type_identity_t<T> value) {
  T old = compare;
  if (!__atomic_compare_exchange_n(address, &old, value, false, __ATOMIC_RELAXED,
                                   __ATOMIC_RELAXED)) {
    packproof::simt::yield();
  }
  return old;
}

inline void __threadfence() { packproof::simt::thread_fence(); }

inline void __threadfence_block() { packproof::simt::thread_fence(); }
