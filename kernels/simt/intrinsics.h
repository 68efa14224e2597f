#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

// CUDA's scalar intrinsics for host compilers. Only those whose result is exactly defined are here,
// so that host and device agree bitwise; the approximate ones (__expf, rsqrtf, ...) are left out on
// purpose: kernels/common/math.cuh has polynomials that give the same bits on both.

inline float __fadd_rn(float a, float b) { return a + b; }

inline float __fmul_rn(float a, float b) { return a * b; }

inline float __fdiv_rn(float a, float b) { return a / b; }

inline float __fsqrt_rn(float a) { return __builtin_sqrtf(a); }

inline float __fmaf_rn(float a, float b, float c) { return __builtin_fmaf(a, b, c); }

inline unsigned __float_as_uint(float value) { return std::bit_cast<unsigned>(value); }

inline float __uint_as_float(unsigned bits) { return std::bit_cast<float>(bits); }

inline int __float_as_int(float value) { return std::bit_cast<int>(value); }

inline float __int_as_float(int bits) { return std::bit_cast<float>(bits); }

inline int __popc(unsigned bits) { return std::popcount(bits); }

inline int __clz(int bits) { return std::countl_zero(static_cast<unsigned>(bits)); }

inline int __ffs(int bits) { return __builtin_ffs(bits); }

template <class T>
T __ldg(const T* address) {
  return *address;
}

// Like CUDA's, these exist at global scope for equal types only.

template <class T>
requires std::is_arithmetic_v<T>

constexpr T min(T a, T b) { return b < a ? b : a; }

template <class T>
requires std::is_arithmetic_v<T>

constexpr T max(T a, T b) { return a < b ? b : a; }
