#pragma once

#include "kernels/common/platform.cuh"

#include <cstdint>

#ifndef __CUDACC__
#include "kernels/ptx/bulk_copy_on_host.h"
#endif

// Copies of any size from global to shared memory that the copy engine of sm_90 makes beside the
// threads (cp.async.bulk), and the barrier that counts their bytes (mbarrier).
//
// A barrier's phases are numbered from 0. In each, one thread expects a number of bytes and starts
// copies of as many; the phase ends when they have all arrived, and whoever waits for it sees them.
// What the copies overwrite must have been read before they are started, in all threads.

namespace packproof::ptx {

/// In shared memory.
struct alignas(8) BulkBarrier {
  uint64_t state;
};

/// By one thread, before a __syncthreads that all users pass.
__device__ __forceinline__ void bulk_barrier_init(BulkBarrier& barrier) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(&barrier));
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(address) : "memory");
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#elif !defined(__CUDACC__)
  simt::bulk_barrier_init(&barrier.state);
#endif
}

/// By one thread in each phase, before the copies.
__device__ __forceinline__ void bulk_expect(BulkBarrier& barrier, [[maybe_unused]] int bytes,
                                            [[maybe_unused]] const char* file = __builtin_FILE(),
                                            [[maybe_unused]] int line = __builtin_LINE()) {
#ifndef __CUDACC__
  simt::bulk_expect(&barrier.state, bytes, {file, line});
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(&barrier));
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(address), "r"(bytes)
               : "memory");
#elif defined(__CUDA_ARCH__)
  __trap();
#endif
}

/// Starts a copy of a multiple of 16 bytes between addresses aligned to 16.
__device__ __forceinline__ void bulk_copy(BulkBarrier& barrier, void* shared, const void* global,
                                          [[maybe_unused]] int bytes,
                                          [[maybe_unused]] const char* file = __builtin_FILE(),
                                          [[maybe_unused]] int line = __builtin_LINE()) {
#ifndef __CUDACC__
  simt::bulk_copy(&barrier.state, shared, global, bytes, {file, line});
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(&barrier));
  const auto target = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(target),
      "l"(global), "r"(bytes), "r"(address)
      : "memory");
#elif defined(__CUDA_ARCH__)
  __trap();
#endif
}

/// Waits for the end of a phase: the one under way or the one before.
__device__ __forceinline__ void bulk_wait(BulkBarrier& barrier, [[maybe_unused]] int phase,
                                          [[maybe_unused]] const char* file = __builtin_FILE(),
                                          [[maybe_unused]] int line = __builtin_LINE()) {
#ifndef __CUDACC__
  simt::bulk_wait(&barrier.state, phase, {file, line});
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(&barrier));
  uint32_t ended = 0;
  while (ended == 0) {
    asm volatile(
        "{ .reg .pred ends; mbarrier.try_wait.parity.shared::cta.b64 ends, [%1], %2; "
        "selp.u32 %0, 1, 0, ends; }"
        : "=r"(ended)
        : "r"(address), "r"(phase & 1)
        : "memory");
  }
#elif defined(__CUDA_ARCH__)
  __trap();
#endif
}

}  // namespace packproof::ptx
