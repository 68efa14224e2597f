#pragma once

#include "kernels/common/platform.cuh"

#ifndef __CUDACC__
#include "kernels/simt/collective.h"
#endif

// Barriers among a part of the block's warps. `id` is 1 to 15 (0 is __syncthreads); `num_threads`, a
// multiple of 32, counts those that wait and those that only arrive, in full warps.

namespace packproof::ptx {

/// bar.sync: waits until num_threads threads have reached the barrier; orders memory among them.
__device__ __forceinline__ void named_barrier_sync(
    int id, int num_threads, [[maybe_unused]] const char* file = __builtin_FILE(),
    [[maybe_unused]] int line = __builtin_LINE()) {
#ifdef __CUDACC__
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(num_threads) : "memory");
#else
  simt::BarrierCall call{.name = "named_barrier_sync", .site = {file, line}};
  call.id = id;
  call.count = num_threads;
  simt::rendezvous(call);
#endif
}

/// bar.arrive: counts as reaching the barrier without waiting, as a producer does.
__device__ __forceinline__ void named_barrier_arrive(
    int id, int num_threads, [[maybe_unused]] const char* file = __builtin_FILE(),
    [[maybe_unused]] int line = __builtin_LINE()) {
#ifdef __CUDACC__
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(num_threads) : "memory");
#else
  simt::BarrierCall call{.name = "named_barrier_arrive", .site = {file, line}};
  call.id = id;
  call.count = num_threads;
  call.waits = false;
  simt::rendezvous(call);
#endif
}

}  // namespace packproof::ptx
