#pragma once

#include "kernels/common/platform.cuh"

#ifndef __CUDACC__
#include "kernels/ptx/store_matrix_on_host.h"
#endif

namespace packproof::ptx {

/// stmatrix (sm_90): the way back of load_matrix<4, kTranspose>. Lane 8 m + r gives the address of
/// row r of matrix m in shared memory, 16 bytes, 16-byte aligned; lane L holds in registers[m] the
/// elements [L / 4][2 (L % 4)] and the next one of matrix m, with kTranspose those of its transpose.
/// All 32 lanes call it.
template <bool kTranspose>
__device__ __forceinline__ void store_matrix(const uint32_t (&registers)[4], void* row,
                                             [[maybe_unused]] const char* file = __builtin_FILE(),
                                             [[maybe_unused]] int line = __builtin_LINE()) {
#ifndef __CUDACC__
  simt::store_matrix(registers, kTranspose, row, {file, line});
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kTranspose) {
    asm volatile(
        "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
        "r"(registers[0]), "r"(registers[1]), "r"(registers[2]), "r"(registers[3])
        : "memory");
  } else {
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
                 "r"(registers[0]), "r"(registers[1]), "r"(registers[2]), "r"(registers[3])
                 : "memory");
  }
#elif defined(__CUDA_ARCH__)
  __trap();
#endif
}

}  // namespace packproof::ptx
