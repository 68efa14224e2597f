#pragma once

#include "kernels/common/platform.cuh"

#ifndef __CUDACC__
#include "kernels/ptx/copy_async_on_host.h"
#endif

// Copies from global to shared memory that run beside the thread (cp.async). A thread's copies since
// its last commit form a group; groups complete in order. What is copied may be read by the thread
// that waited for its group, and by others after a barrier that follows that wait. Until then the
// destination's contents are undefined.

namespace packproof::ptx {

/// Starts the copy of kBytes (4, 8 or 16; both addresses aligned to it). Only the first
/// `source_bytes` are read; the rest of the destination becomes zeros.
template <int kBytes>
__device__ __forceinline__ void copy_async(void* shared, const void* global,
                                           int source_bytes = kBytes,
                                           [[maybe_unused]] const char* file = __builtin_FILE(),
                                           [[maybe_unused]] int line = __builtin_LINE()) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
#ifdef __CUDACC__
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  if constexpr (kBytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(address), "l"(global),
                 "r"(source_bytes)
                 : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(address), "l"(global),
                 "n"(kBytes), "r"(source_bytes)
                 : "memory");
  }
#else
  simt::copy_async(shared, global, kBytes, source_bytes, {file, line});
#endif
}

/// Closes the group of the copies started since the last call; an empty group counts too.
__device__ __forceinline__ void copy_async_commit() {
#ifdef __CUDACC__
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  simt::copy_async_commit();
#endif
}

/// Waits until at most kPending of the thread's latest groups are incomplete.
template <int kPending>
__device__ __forceinline__ void copy_async_wait() {
  static_assert(kPending >= 0 && kPending < 8);
#ifdef __CUDACC__
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
#else
  simt::copy_async_wait(kPending);
#endif
}

}  // namespace packproof::ptx
