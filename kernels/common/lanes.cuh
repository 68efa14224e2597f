#pragma once

#include "kernels/common/platform.cuh"

/// Eight partial results side by side: the unit in which kernels sum long vectors.
///
/// Element i of a vector always meets lane i % 8, and sum() always adds the lanes in the same tree,
/// so the order of a sum is part of the source and the bits are the same wherever it runs. On the
/// device the lanes are eight registers; on the host two SSE registers, because compilers do not
/// vectorise such a sum by themselves (measured: a factor of 3).
namespace packproof {

inline constexpr int kNumLanes = 8;

#ifdef __CUDACC__

struct Lanes {
  float value[kNumLanes];
};

/// Eight neighbouring floats at an address aligned to 16 bytes; store_lanes likewise.
__device__ __forceinline__ Lanes load_lanes(const float* source) {
  const float4 low = reinterpret_cast<const float4*>(source)[0];
  const float4 high = reinterpret_cast<const float4*>(source)[1];
  return {{low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w}};
}

/// Has the compiler read shared memory again after this point instead of keeping values in
/// registers. All 32 lanes of the warp call it; it orders nothing that a kernel may rely on.
__device__ __forceinline__ void load_again() { __syncwarp(); }

__device__ __forceinline__ Lanes pack(const float (&values)[kNumLanes]) {
  Lanes lanes;
#pragma unroll
  for (int lane = 0; lane < kNumLanes; ++lane) lanes.value[lane] = values[lane];
  return lanes;
}

__device__ __forceinline__ void unpack(const Lanes& lanes, float (&values)[kNumLanes]) {
#pragma unroll
  for (int lane = 0; lane < kNumLanes; ++lane) values[lane] = lanes.value[lane];
}

__device__ __forceinline__ void store_lanes(const Lanes& lanes, float* target) {
  const float(&x)[kNumLanes] = lanes.value;
  reinterpret_cast<float4*>(target)[0] = make_float4(x[0], x[1], x[2], x[3]);
  reinterpret_cast<float4*>(target)[1] = make_float4(x[4], x[5], x[6], x[7]);
}

__device__ __forceinline__ Lanes multiply(float factor, const Lanes& lanes) {
  Lanes result;
#pragma unroll
  for (int lane = 0; lane < kNumLanes; ++lane) result.value[lane] = factor * lanes.value[lane];
  return result;
}

__device__ __forceinline__ Lanes multiply_add(const Lanes& a, const Lanes& b, const Lanes& c) {
  Lanes result;
#pragma unroll
  for (int lane = 0; lane < kNumLanes; ++lane) {
    result.value[lane] = fmaf(a.value[lane], b.value[lane], c.value[lane]);
  }
  return result;
}

__device__ __forceinline__ Lanes all_lanes(float value) {
  return {{value, value, value, value, value, value, value, value}};
}

__device__ __forceinline__ float sum(const Lanes& lanes) {
  const float(&x)[kNumLanes] = lanes.value;
  return ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
}

#else

typedef float FloatQuad __attribute__((vector_size(16)));

/// The same in memory, at any address of a float. Accesses of 16 bytes are seen by the thread
/// sanitizer; a copy of 32 bytes, which GCC does in one vector, is not.
typedef float FloatQuadInMemory __attribute__((vector_size(16), aligned(4), may_alias));

struct Lanes {
  FloatQuad low, high;
};

inline Lanes load_lanes(const float* source) {
  const auto* quads = reinterpret_cast<const FloatQuadInMemory*>(source);
  return {quads[0], quads[1]};
}

inline void load_again() {}

inline Lanes pack(const float (&values)[kNumLanes]) { return load_lanes(values); }

inline void store_lanes(const Lanes& lanes, float* target) {
  auto* quads = reinterpret_cast<FloatQuadInMemory*>(target);
  quads[0] = lanes.low;
  quads[1] = lanes.high;
}

inline void unpack(const Lanes& lanes, float (&values)[kNumLanes]) { store_lanes(lanes, values); }

inline Lanes multiply(float factor, const Lanes& lanes) {
  return {factor * lanes.low, factor * lanes.high};
}

/// fmaf per element: one instruction where the target has it, else the C library's exact fmaf.
inline FloatQuad multiply_add(FloatQuad a, FloatQuad b, FloatQuad c) {
#ifdef __FMA__
  return __builtin_ia32_vfmaddps(a, b, c);
#else
  FloatQuad result;
  for (int lane = 0; lane < 4; ++lane) result[lane] = __builtin_fmaf(a[lane], b[lane], c[lane]);
  return result;
#endif
}

inline Lanes multiply_add(const Lanes& a, const Lanes& b, const Lanes& c) {
  return {multiply_add(a.low, b.low, c.low), multiply_add(a.high, b.high, c.high)};
}

inline Lanes all_lanes(float value) { return {FloatQuad{} + value, FloatQuad{} + value}; }

inline float sum(const Lanes& lanes) {
  const FloatQuad x = lanes.low;
  const FloatQuad y = lanes.high;
  return ((x[0] + x[1]) + (x[2] + x[3])) + ((y[0] + y[1]) + (y[2] + y[3]));
}

#endif

}  // namespace packproof
