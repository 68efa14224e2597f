#pragma once

#include "kernels/common/platform.cuh"

// How many registers a thread may use (setmaxnreg, sm_90a), a multiple of 8. All threads of a
// warpgroup call it, at the start of what they alone execute. The host has nothing to share out.

namespace packproof::ptx {

/// Raises the number, once other warpgroups have given up as many.
template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  static_assert(kRegisters % 8 == 0 && kRegisters >= 24 && kRegisters <= 256);
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}

/// Lowers it.
template <int kRegisters>
__device__ __forceinline__ void give_registers() {
  static_assert(kRegisters % 8 == 0 && kRegisters >= 24 && kRegisters <= 256);
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kRegisters));
#endif
}

}  // namespace packproof::ptx
