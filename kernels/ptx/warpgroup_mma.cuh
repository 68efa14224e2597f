#pragma once

#include "kernels/common/convert.cuh"
#include "kernels/common/platform.cuh"

#include <type_traits>

#ifdef __CUDACC__
#include "kernels/ptx/warpgroup_mma_sm90.cuh"
#else
#include "kernels/ptx/warpgroup_mma_on_host.h"
#endif

// Matrix products of four warps on sm_90 (wgmma), d += a b with float accumulation, that run beside
// the threads. Warp w of four owns rows 16 w .. 16 w + 15 of a [64, 16] and d [64, n], in the
// fragments of mma.cuh: a as there, and d as n / 8 pieces [16, 8] side by side, four registers each.
// b [16, n] lies in shared memory.
//
// A thread's products since its last commit form a group; groups complete in order. Until the group
// is waited for, its d may not be read or written, nor its a and b written. Products into the same d
// run in order without a wait. All 128 threads call all of these functions.

namespace packproof::ptx {

/// b, as core matrices: 128 contiguous bytes, 8 rows of 16 bytes (8 elements), 16-byte aligned.
struct SharedFactor {
  const void* first;
  int k_step;  ///< Bytes from a core matrix to the next along k,
  int n_step;  ///< and along n. Multiples of 16 below 2^18.
};

/// What the 16 bytes of a core matrix's row run along.
enum class CoreRow { kAlongK, kAlongN };

/// Orders what the thread wrote to shared memory, itself or by completed copy_async, before products
/// that are started after a following barrier.
__device__ __forceinline__ void publish_to_warpgroup_mma() {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

/// Stands before the first product, and before those whose registers were written since.
__device__ __forceinline__ void warpgroup_mma_fence() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

/// Closes the group of the products started since the last call.
__device__ __forceinline__ void warpgroup_mma_commit() {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#elif !defined(__CUDACC__)
  simt::warpgroup_mma_commit();
#endif
}

/// Waits until at most kPending of the latest groups are incomplete. `results` name the accumulators
/// that are read from here on.
template <int kPending, int... kCounts>
__device__ __forceinline__ void warpgroup_mma_wait([[maybe_unused]] float (&... results)[kCounts]) {
  static_assert(kPending >= 0 && kPending < 8);
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
  const auto pin = [](auto& registers) {
#pragma unroll
    for (auto& element : registers) asm volatile("" : "+f"(element)::"memory");
  };
  (pin(results), ...);
#elif !defined(__CUDACC__)
  simt::warpgroup_mma_wait(kPending);
#endif
}

/// d (+)= a b for kColumns columns; without `add`, d is overwritten. T is BFloat16 or Half.
template <typename T, int kColumns, CoreRow kRows>
__device__ __forceinline__ void warpgroup_mma(float (&d)[kColumns / 2], const uint32_t (&a)[4],
                                              const SharedFactor& b, bool add,
                                              [[maybe_unused]] const char* file = __builtin_FILE(),
                                              [[maybe_unused]] int line = __builtin_LINE()) {
  static_assert(std::is_same_v<T, BFloat16> || std::is_same_v<T, Half>);
#ifdef __CUDACC__
  sm90::warpgroup_mma<std::is_same_v<T, BFloat16>, kColumns, kRows == CoreRow::kAlongN>(
      d, a, b.first, b.k_step, b.n_step, add);
#else
  simt::warpgroup_mma({.bfloat16 = std::is_same_v<T, BFloat16>,
                       .num_columns = kColumns,
                       .rows_along_n = kRows == CoreRow::kAlongN,
                       .add = add,
                       .first = b.first,
                       .k_step = b.k_step,
                       .n_step = b.n_step},
                      d, a, {file, line});
#endif
}

}  // namespace packproof::ptx
