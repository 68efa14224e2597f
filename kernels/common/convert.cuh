#pragma once

#include "kernels/common/platform.cuh"

#include <cstdint>

/// Storage types of kernels and their conversion to and from float.
///
/// Bit arithmetic only, so that nvcc and g++ give the same bits. Narrowing rounds to nearest even;
/// values beyond the largest finite one become infinite; a NaN becomes the quiet NaN of its sign.
namespace packproof {

struct Half {
  uint16_t bits;
};

struct BFloat16 {
  uint16_t bits;
};

__host__ __device__ inline uint32_t bits_of(float value) {
  return __builtin_bit_cast(uint32_t, value);
}

__host__ __device__ inline float float_of(uint32_t bits) { return __builtin_bit_cast(float, bits); }

__host__ __device__ inline float to_float(float value) { return value; }

__host__ __device__ inline float to_float(BFloat16 value) {
  return float_of(static_cast<uint32_t>(value.bits) << 16);
}

__host__ __device__ inline float to_float(Half value) {
  const uint32_t sign = (value.bits & 0x8000u) << 16;
  const uint32_t magnitude = value.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // Infinite or NaN: the exponent field has no finite counterpart.
    return float_of(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  }
  // The exponent bias differs by 112, and the product is exact for subnormal halves too.
  return float_of(sign | bits_of(float_of(magnitude << 13) * 0x1p112f));
}

template <typename T>
__host__ __device__ T from_float(float value);

template <>
__host__ __device__ inline float from_float<float>(float value) {
  return value;
}

template <>
__host__ __device__ inline BFloat16 from_float<BFloat16>(float value) {
  const uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return {static_cast<uint16_t>((bits >> 16 & 0x8000u) | 0x7fc0u)};
  }
  return {static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

template <>
__host__ __device__ inline Half from_float<Half>(float value) {
  const uint32_t sign = bits_of(value) >> 16 & 0x8000u;
  const uint32_t magnitude = bits_of(value) & 0x7fffffffu;
  uint32_t half = 0;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u;
  } else if (magnitude >= 0x477ff000u) {  // 65520: halfway between the largest half and 2^16.
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // Below 2^-14: the addition rounds to multiples of 2^-24.
    half = bits_of(float_of(magnitude) + 0.5f) - bits_of(0.5f);
  } else {
    half = (magnitude - (112u << 23) + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  }
  return {static_cast<uint16_t>(sign | half)};
}

}  // namespace packproof
