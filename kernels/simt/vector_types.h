#pragma once

/// CUDA's built-in vector types for host compilers: same names, members, sizes and alignment as in
/// cuda_runtime.h, and only those that kernel sources here use.

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x = 1, y = 1, z = 1;

  constexpr dim3() = default;

  constexpr dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

struct alignas(8) int2 {
  int x, y;
};

struct alignas(16) int4 {
  int x, y, z, w;
};

struct alignas(8) uint2 {
  unsigned x, y;
};

struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

struct alignas(8) float2 {
  float x, y;
};

struct alignas(16) float4 {
  float x, y, z, w;
};

constexpr int2 make_int2(int x, int y) { return {x, y}; }

constexpr int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }

constexpr uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }

constexpr uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

constexpr float2 make_float2(float x, float y) { return {x, y}; }

constexpr float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
