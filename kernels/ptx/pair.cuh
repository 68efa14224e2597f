#pragma once

#include "kernels/common/convert.cuh"
#include "kernels/common/platform.cuh"

// Two 16-bit numbers in one register, as the fragments of mma.cuh hold them: `low` has the lower
// index. Rounding is to nearest even and overflow is infinite, as in common/convert.cuh; only the
// payload of a NaN differs between host and device.

namespace packproof::ptx {

template <typename T>
struct Pair;

template <>
struct Pair<BFloat16> {
  static __device__ __forceinline__ uint32_t pack(float low, float high) {
#ifdef __CUDACC__
    uint32_t pair;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return from_float<BFloat16>(low).bits | uint32_t{from_float<BFloat16>(high).bits} << 16;
#endif
  }

  static __device__ __forceinline__ float low(uint32_t pair) { return float_of(pair << 16); }

  static __device__ __forceinline__ float high(uint32_t pair) {
    return float_of(pair & 0xffff0000u);
  }
};

template <>
struct Pair<Half> {
  static __device__ __forceinline__ uint32_t pack(float low, float high) {
#ifdef __CUDACC__
    uint32_t pair;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
    return pair;
#else
    return from_float<Half>(low).bits | uint32_t{from_float<Half>(high).bits} << 16;
#endif
  }

  static __device__ __forceinline__ float low(uint32_t pair) {
#ifdef __CUDACC__
    float value;
    asm("{ .reg .b16 l, h; mov.b32 {l, h}, %1; cvt.f32.f16 %0, l; }" : "=f"(value) : "r"(pair));
    return value;
#else
    return to_float(Half{static_cast<uint16_t>(pair)});
#endif
  }

  static __device__ __forceinline__ float high(uint32_t pair) { return low(pair >> 16); }
};

}  // namespace packproof::ptx
