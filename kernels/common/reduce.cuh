#pragma once

#include "kernels/common/platform.cuh"

#ifndef __CUDACC__
#include "kernels/simt/reduce.h"
#endif

// Reductions under a name: a shuffle tree on the device; on the host one meeting that evaluates the
// same tree, bit for bit. The defaulted arguments are the caller's line, for diagnoses on the host.

namespace packproof {

/// Shared memory of block_sum; a member of the kernel's shared struct.
struct BlockSumScratch {
  float partial[32];
};

/// The larger one; NaN when either is NaN, +0 of {+0, -0}. Commutative to the bit, so that all
/// lanes of a butterfly agree (fmaxf promises neither).
__device__ inline float max_with_nan(float a, float b) {
  if (a != a || b != b) return __uint_as_float(0x7fc00000u);
  if (a == b) return __uint_as_float(__float_as_uint(a) & __float_as_uint(b));
  return a < b ? b : a;
}

/// Sum over each group of kWidth neighbouring lanes, in every lane. The tree first adds the values
/// of lanes i and i ^ (kWidth / 2), last those of i and i ^ 1. All 32 lanes of the warp call it.
template <int kWidth = 32>
__device__ __forceinline__ float warp_sum(float value,
                                          [[maybe_unused]] const char* file = __builtin_FILE(),
                                          [[maybe_unused]] int line = __builtin_LINE()) {
  static_assert(kWidth >= 1 && kWidth <= 32 && (kWidth & (kWidth - 1)) == 0);
#ifdef __CUDACC__
#pragma unroll
  for (int distance = kWidth / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  }
  return value;
#else
  return simt::warp_sum(value, kWidth, {file, line});
#endif
}

/// Maximum by max_with_nan over each group of kWidth neighbouring lanes, in every lane.
template <int kWidth = 32>
__device__ __forceinline__ float warp_max(float value,
                                          [[maybe_unused]] const char* file = __builtin_FILE(),
                                          [[maybe_unused]] int line = __builtin_LINE()) {
  static_assert(kWidth >= 1 && kWidth <= 32 && (kWidth & (kWidth - 1)) == 0);
#ifdef __CUDACC__
#pragma unroll
  for (int distance = kWidth / 2; distance > 0; distance /= 2) {
    value = max_with_nan(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  return value;
#else
  return simt::warp_max(value, kWidth, max_with_nan, {file, line});
#endif
}

/// Lane `source`'s value in all 32 lanes; `source` is the same in all of them.
template <class T>
__device__ __forceinline__ T warp_broadcast(T value, int source,
                                            [[maybe_unused]] const char* file = __builtin_FILE(),
                                            [[maybe_unused]] int line = __builtin_LINE()) {
#ifdef __CUDACC__
  return __shfl_sync(0xffffffffu, value, source);
#else
  return __shfl_sync(0xffffffffu, value, source, 32, file, line);
#endif
}

/// Sum over the block, in every thread: warp_sum, then the warps' sums from the first to the last.
/// All threads call it, in full warps. It is also a barrier, and `scratch` is free afterwards.
__device__ __forceinline__ float block_sum(float value, [[maybe_unused]] BlockSumScratch& scratch,
                                           [[maybe_unused]] const char* file = __builtin_FILE(),
                                           [[maybe_unused]] int line = __builtin_LINE()) {
#ifdef __CUDACC__
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned num_warps = blockDim.x * blockDim.y * blockDim.z / 32;
  const float own_warp = warp_sum(value);
  if (thread % 32 == 0) scratch.partial[thread / 32] = own_warp;
  __syncthreads();
  float sum = scratch.partial[0];
  for (unsigned warp = 1; warp < num_warps; ++warp) sum += scratch.partial[warp];
  __syncthreads();
  return sum;
#else
  return simt::block_sum(value, {file, line});
#endif
}

}  // namespace packproof
