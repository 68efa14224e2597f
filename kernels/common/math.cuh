#pragma once

#include "kernels/common/convert.cuh"
#include "kernels/common/platform.cuh"

#include <cmath>

/// Elementary functions in float, the same bits on the host and on a GPU.
///
/// Only operations that IEEE rounds to nearest on both: +, -, *, fmaf, __fdiv_rn, __fsqrt_rn,
/// compiled with -ffp-contract=off (g++) and -fmad=false (nvcc), without fast-math or
/// flush-to-zero. An ulp is the spacing of floats at the exact result; the bounds were measured
/// against double on every float of the stated ranges (math_test.cpp samples them).
namespace packproof {

/// e^x: within 1 ulp where the result is normal (x > -87.33), half the smallest subnormal more
/// below; exactly 1 at 0, exactly 0 below -104, infinite above 88.73.
__device__ inline float exp_f32(float x) {
  // Computed for every x and chosen from at the end: no branches.
  const float bounded = x > -104.0f ? (x > 88.73f ? 88.73f : x) : -104.0f;
  // bounded = n ln 2 + r, |r| <= ln 2 / 2; adding 1.5 * 2^23 rounds to an integer.
  const float n = fmaf(bounded, 1.44269502f, 12582912.0f) - 12582912.0f;
  const float r = fmaf(n, -1.42860677e-06f, fmaf(n, -0x1.62e4p-1f, bounded));
  // e^r = 1 + r + r^2 p(r); p interpolates at Chebyshev nodes, relative error below 2^-28.
  float p = 0.00139262131f;
  p = fmaf(p, r, 0.00836320315f);
  p = fmaf(p, r, 0.0416665561f);
  p = fmaf(p, r, 0.166665763f);
  p = fmaf(p, r, 0.5f);
  const float e = fmaf(fmaf(p, r, 1.0f), r, 1.0f);
  // 2^n in two factors: n reaches -150 and 128, beyond the exponents of one float.
  const int exponent = static_cast<int>(n);
  const int half = exponent / 2;
  const float result = e * float_of(static_cast<uint32_t>(half + 127) << 23) *
                       float_of(static_cast<uint32_t>(exponent - half + 127) << 23);
  if (x != x) return x;
  if (x > 88.73f) return float_of(0x7f800000u);
  return x > -104.0f ? result : 0.0f;
}

/// log(1 + u) for u in [0, 1]: within 2 ulp.
__device__ inline float log1p_unit_f32(float u) {
  // log(1 + u) = 2 atanh(s), s = u / (2 + u) <= 1/3; 2 atanh(s) = 2 s + s^3 p(s^2).
  const float s = __fdiv_rn(u, 2.0f + u);
  const float z = s * s;
  float p = 0.232243299f;
  p = fmaf(p, z, 0.217065752f);
  p = fmaf(p, z, 0.28592357f);
  p = fmaf(p, z, 0.399997056f);
  p = fmaf(p, z, 0.666666687f);
  return fmaf(s * z, p, 2.0f * s);
}

/// log(1 + e^x), for any x: within 3 ulp where the result is normal.
__device__ inline float softplus_f32(float x) {
  if (x != x) return x;
  const float tail = log1p_unit_f32(exp_f32(-fabsf(x)));
  return x > 0.0f ? x + tail : tail;
}

/// 1 / (1 + e^-x): within 3 ulp where the result is normal.
__device__ inline float sigmoid_f32(float x) {
  const float e = exp_f32(-fabsf(x));
  return __fdiv_rn(x >= 0.0f ? 1.0f : e, 1.0f + e);
}

/// x sigmoid(x): within 4 ulp for x > -87; below, sigmoid(x) is subnormal and keeps fewer bits.
__device__ inline float silu_f32(float x) { return x * sigmoid_f32(x); }

/// x^-1/2 for x >= 0: within 2 ulp.
__device__ inline float rsqrt_f32(float x) { return __fdiv_rn(1.0f, __fsqrt_rn(x)); }

}  // namespace packproof
