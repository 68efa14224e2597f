#pragma once

#include "kernels/common/platform.cuh"

#ifndef __CUDACC__
#include "kernels/ptx/load_matrix_on_host.h"
#endif

namespace packproof::ptx {

/// ldmatrix: 8 x 8 matrices of 16-bit elements from shared memory into the fragments of mma.cuh.
/// Lane 8 m + r gives the address of row r of matrix m: 16 bytes, 16-byte aligned (the addresses of
/// lanes from 8 kMatrices on are not used). Lane L receives in registers[m] the elements
/// [L / 4][2 (L % 4)] and the next one of matrix m, the first in the lower half; with kTranspose those
/// of its transpose. All 32 lanes call it.
template <int kMatrices, bool kTranspose = false>
__device__ __forceinline__ void load_matrix(uint32_t (&registers)[kMatrices], const void* row,
                                            [[maybe_unused]] const char* file = __builtin_FILE(),
                                            [[maybe_unused]] int line = __builtin_LINE()) {
  static_assert(kMatrices == 1 || kMatrices == 2 || kMatrices == 4);
#ifdef __CUDACC__
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(row));
  if constexpr (kMatrices == 1 && !kTranspose) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
                 : "=r"(registers[0])
                 : "r"(address)
                 : "memory");
  } else if constexpr (kMatrices == 1) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
                 : "=r"(registers[0])
                 : "r"(address)
                 : "memory");
  } else if constexpr (kMatrices == 2 && !kTranspose) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(registers[0]), "=r"(registers[1])
                 : "r"(address)
                 : "memory");
  } else if constexpr (kMatrices == 2) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(registers[0]), "=r"(registers[1])
                 : "r"(address)
                 : "memory");
  } else if constexpr (!kTranspose) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(address)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(registers[0]), "=r"(registers[1]), "=r"(registers[2]), "=r"(registers[3])
                 : "r"(address)
                 : "memory");
  }
#else
  simt::load_matrix(registers, kMatrices, kTranspose, row, {file, line});
#endif
}

}  // namespace packproof::ptx
