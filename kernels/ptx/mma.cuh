#pragma once

#include "kernels/common/platform.cuh"

#ifndef __CUDACC__
#include "kernels/ptx/mma_on_host.h"
#endif

// Matrix products of one warp, d += a b, with float accumulation. With g = lane / 4, t = lane % 4:
//
//   16-bit inputs, two to a register, the lower k in the lower half
//     a[0] row g,     k 2t, 2t+1      a[2] row g,     k 2t+8, 2t+9
//     a[1] row g + 8, k 2t, 2t+1      a[3] row g + 8, k 2t+8, 2t+9
//     b[0] k 2t, 2t+1, column g       b[1] k 2t+8, 2t+9, column g
//   tf32 inputs, one to a register
//     a[0] row g, k t;  a[1] row g + 8, k t;  a[2] row g, k t+4;  a[3] row g + 8, k t+4
//     b[0] k t, column g;  b[1] k t+4, column g
//   d[0], d[1] row g, columns 2t, 2t+1;  d[2], d[3] row g + 8, columns 2t, 2t+1

namespace packproof::ptx {

/// [16, 16] x [16, 8] of bfloat16.
__device__ __forceinline__ void mma_m16n8k16_bf16(
    float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
    [[maybe_unused]] const char* file = __builtin_FILE(),
    [[maybe_unused]] int line = __builtin_LINE()) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  simt::mma(simt::MmaShape::kM16N8K16Bf16, d, a, b, {file, line});
#endif
}

/// [16, 16] x [16, 8] of half.
__device__ __forceinline__ void mma_m16n8k16_f16(
    float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
    [[maybe_unused]] const char* file = __builtin_FILE(),
    [[maybe_unused]] int line = __builtin_LINE()) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  simt::mma(simt::MmaShape::kM16N8K16F16, d, a, b, {file, line});
#endif
}

/// [16, 8] x [8, 8] of tf32: float bits of which the lowest 13 are ignored.
__device__ __forceinline__ void mma_m16n8k8_tf32(
    float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2],
    [[maybe_unused]] const char* file = __builtin_FILE(),
    [[maybe_unused]] int line = __builtin_LINE()) {
#ifdef __CUDACC__
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  simt::mma(simt::MmaShape::kM16N8K8Tf32, d, a, b, {file, line});
#endif
}

}  // namespace packproof::ptx
