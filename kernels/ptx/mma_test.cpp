#include "kernels/ptx/mma.cuh"

#include "kernels/simt/launch_for_test.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace packproof::ptx {
namespace {

using simt::fault_of;
using simt::ScopedSchedule;

struct Registers {
  uint32_t a[4];
  uint32_t b[2];
  float d[4];
};

template <void (*kMma)(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[2], const char*,
                       int)>
__global__ void multiply(Registers* registers) {
  Registers& own = registers[threadIdx.x];
  kMma(own.d, own.a, own.b, "mma_test.cpp", 0);
}

// The formulas of the PTX manual, element by element ("Matrix fragments for mma.m16n8k16" and
// ".m16n8k8"), with groupID = lane >> 2 and threadID_in_group = lane % 4.
struct Position {
  int row, column;
};

Position a_of_k16(int lane, int i) {
  const int row = i < 2 || (4 <= i && i < 6) ? lane >> 2 : (lane >> 2) + 8;
  const int column = i < 4 ? (lane % 4) * 2 + (i & 1) : (lane % 4) * 2 + (i & 1) + 8;
  return {row, column};
}

Position b_of_k16(int lane, int i) {
  return {i < 2 ? (lane % 4) * 2 + (i & 1) : (lane % 4) * 2 + (i & 1) + 8, lane >> 2};
}

Position a_of_k8(int lane, int i) {
  return {i == 0 || i == 2 ? lane >> 2 : (lane >> 2) + 8, i < 2 ? lane % 4 : lane % 4 + 4};
}

Position b_of_k8(int lane, int i) { return {i == 0 ? lane % 4 : lane % 4 + 4, lane >> 2}; }

Position d_of(int lane, int i) {
  return {i < 2 ? lane >> 2 : (lane >> 2) + 8, (lane % 4) * 2 + (i & 1)};
}

// Bits of a float that the format holds exactly.
uint32_t bf16_bits(float value) { return __float_as_uint(value) >> 16; }

uint32_t tf32_bits(float value) { return __float_as_uint(value); }

uint32_t f16_bits(float value) {
  if (value == 0) return 0;
  int exponent = 0;
  const float fraction = std::frexp(std::fabs(value), &exponent);  // [0.5, 1) 2^exponent
  const uint32_t sign = value < 0 ? 0x8000 : 0;
  if (exponent < -13) return sign | static_cast<uint32_t>(std::ldexp(std::fabs(value), 24));
  const auto mantissa = static_cast<uint32_t>(std::ldexp(fraction, 11)) & 0x3ff;
  return sign | static_cast<uint32_t>(exponent + 14) << 10 | mantissa;
}

struct Problem {
  int depth;
  std::vector<float> a;  // [16, depth]
  std::vector<float> b;  // [depth, 8]
  std::vector<float> d;  // [16, 8]

  explicit Problem(int depth) : depth(depth), a(16 * depth), b(depth * 8), d(16 * 8) {}
};

struct Format {
  int depth;
  uint32_t (*bits)(float);
  std::string (*run)(Registers*);
};

template <void (*kMma)(float (&)[4], const uint32_t (&)[4], const uint32_t (&)[2], const char*,
                       int)>
std::string run(Registers* registers) {
  return fault_of<multiply<kMma>>({.grid = {1}, .block = {32}}, registers);
}

const Format kFormats[] = {{16, bf16_bits, run<mma_m16n8k16_bf16>},
                           {16, f16_bits, run<mma_m16n8k16_f16>},
                           {8, tf32_bits, run<mma_m16n8k8_tf32>}};

std::vector<float> product_by_warp(const Problem& problem, const Format& format) {
  std::vector<Registers> registers(32);
  const bool halves = format.depth == 16;
  for (int lane = 0; lane < 32; ++lane) {
    Registers& own = registers[static_cast<std::size_t>(lane)] = {};
    for (int i = 0; i < (halves ? 8 : 4); ++i) {
      const Position at = halves ? a_of_k16(lane, i) : a_of_k8(lane, i);
      const uint32_t bits = format.bits(problem.a[at.row * problem.depth + at.column]);
      own.a[halves ? i / 2 : i] |= halves && i % 2 == 1 ? bits << 16 : bits;
    }
    for (int i = 0; i < (halves ? 4 : 2); ++i) {
      const Position at = halves ? b_of_k16(lane, i) : b_of_k8(lane, i);
      const uint32_t bits = format.bits(problem.b[at.row * 8 + at.column]);
      own.b[halves ? i / 2 : i] |= halves && i % 2 == 1 ? bits << 16 : bits;
    }
    for (int i = 0; i < 4; ++i) {
      const Position at = d_of(lane, i);
      own.d[i] = problem.d[at.row * 8 + at.column];
    }
  }
  EXPECT_EQ(format.run(registers.data()), "");
  std::vector<float> d(16 * 8, std::nanf(""));
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const Position at = d_of(lane, i);
      d[at.row * 8 + at.column] = registers[static_cast<std::size_t>(lane)].d[i];
    }
  }
  return d;
}

uint32_t next_random(uint32_t& state) { return (state = state * 1664525u + 1013904223u) >> 8; }

// Sums of 17 integers below 2^12: exact in every order and rounding.
TEST(Mma, MultipliesIntegersExactlyInBothModes) {
  for (const uint64_t seed : {0, 1, 2, 3}) {
    const ScopedSchedule schedule(seed);
    for (const Format& format : kFormats) {
      Problem problem(format.depth);
      uint32_t state = 7;
      for (float& value : problem.a) value = static_cast<float>(next_random(state) % 129) - 64;
      for (float& value : problem.b) value = static_cast<float>(next_random(state) % 129) - 64;
      for (float& value : problem.d) value = static_cast<float>(next_random(state) % 4097) - 2048;
      const std::vector<float> d = product_by_warp(problem, format);
      for (int row = 0; row < 16; ++row) {
        for (int column = 0; column < 8; ++column) {
          double sum = problem.d[row * 8 + column];
          for (int k = 0; k < format.depth; ++k) {
            sum +=
                static_cast<double>(problem.a[row * format.depth + k]) * problem.b[k * 8 + column];
          }
          ASSERT_EQ(d[row * 8 + column], sum) << row << " " << column << " seed " << seed;
        }
      }
    }
  }
}

// The definition of mode 1 in exact arithmetic: every term a multiple of the cut-off unit, in 128-bit
// integers counted in units of 2^-80 (the inputs below need no more).
float tensor_core_sum(float accumulator, const std::vector<double>& products, std::size_t step) {
  constexpr int kUnit = -80;
  float sum = accumulator;
  for (std::size_t first = 0; first < products.size(); first += step) {
    std::vector<double> terms(products.begin() + static_cast<std::ptrdiff_t>(first),
                              products.begin() + static_cast<std::ptrdiff_t>(first + step));
    terms.push_back(sum);
    int largest = -1000;
    for (const double term : terms) {
      if (term != 0) largest = std::max(largest, std::ilogb(term));
    }
    if (largest == -1000) return 0;
    const __int128 quantum = static_cast<__int128>(1) << (largest - 24 - kUnit);
    __int128 total = 0;
    for (const double term : terms) {
      const auto exact = static_cast<__int128>(std::ldexp(term, -kUnit));
      total += exact / quantum * quantum;  // Division cuts towards zero.
    }
    __int128 magnitude = total < 0 ? -total : total;
    int bits = 0;
    while (magnitude >> bits != 0) ++bits;
    if (bits > 24) magnitude = magnitude >> (bits - 24) << (bits - 24);
    sum = std::ldexp(static_cast<float>(magnitude), kUnit) * (total < 0 ? -1.0f : 1.0f);
  }
  return sum;
}

TEST(Mma, RoundsAsEachModeIsDefined) {
  int different = 0;
  for (const Format& format : kFormats) {
    Problem problem(format.depth);
    uint32_t state = 99;
    // Seven significant bits and exponents from -8 to 7.
    const auto value = [&state] {
      const auto mantissa = static_cast<float>(next_random(state) % 255) - 127.0f;
      return std::ldexp(mantissa, static_cast<int>(next_random(state) % 16) - 14);
    };
    std::generate(problem.a.begin(), problem.a.end(), value);
    std::generate(problem.b.begin(), problem.b.end(), value);
    for (float& d : problem.d) d = value() * 1.0009765625f;
    std::vector<float> modes[2];
    for (const uint64_t mode : {0, 1}) {
      const ScopedSchedule schedule(mode);
      modes[mode] = product_by_warp(problem, format);
    }
    for (int row = 0; row < 16; ++row) {
      for (int column = 0; column < 8; ++column) {
        const int at = row * 8 + column;
        std::vector<double> products;
        float sequential = problem.d[at];
        for (int k = 0; k < format.depth; ++k) {
          const float a = problem.a[row * format.depth + k];
          const float b = problem.b[k * 8 + column];
          products.push_back(static_cast<double>(a) * b);
          sequential = std::fma(a, b, sequential);
        }
        ASSERT_EQ(modes[0][at], sequential);
        ASSERT_EQ(modes[1][at], tensor_core_sum(problem.d[at], products, products.size() / 2));
        different += modes[0][at] != modes[1][at];
      }
    }
  }
  EXPECT_GT(different, 20);
}

TEST(Mma, IgnoresTheLowBitsOfTf32) {
  Problem problem(8);
  problem.a[0] = __uint_as_float(0x3f801fff);
  problem.b[0] = 1.0f;
  EXPECT_EQ(product_by_warp(problem, kFormats[2])[0], 1.0f);
}

TEST(Mma, ReadsSubnormalHalves) {
  Problem problem(16);
  problem.a[0] = 0x1p-24f;
  problem.b[0] = 1024.0f;
  EXPECT_EQ(product_by_warp(problem, kFormats[1])[0], 0x1p-14f);
}

TEST(Mma, CarriesNanAndInfinityInBothModes) {
  for (const uint64_t seed : {0, 1}) {
    const ScopedSchedule schedule(seed);
    Problem problem(16);
    problem.a[0] = INFINITY;
    problem.b[0] = 1.0f;
    problem.b[1] = -2.0f;  // Column 2 has 0 times infinity.
    const std::vector<float> d = product_by_warp(problem, kFormats[0]);
    EXPECT_EQ(d[0], INFINITY);
    EXPECT_EQ(d[1], -INFINITY);
    EXPECT_TRUE(std::isnan(d[2]));
    EXPECT_EQ(d[8], 0.0f);
  }
}

__global__ void multiply_in_half_a_warp(Registers* registers) {
  if (threadIdx.x >= 16) return;
  Registers& own = registers[threadIdx.x];
  mma_m16n8k16_bf16(own.d, own.a, own.b);
}

TEST(Mma, DemandsAFullWarp) {
  Registers registers[16] = {};
  const std::string fault =
      fault_of<multiply_in_half_a_warp>({.name = "k", .grid = {1}, .block = {32}}, registers);
  EXPECT_NE(fault.find("calls mma_m16n8k16_bf16 (mma_test.cpp:"), std::string::npos) << fault;
  EXPECT_NE(fault.find("in a warp of 16 lanes; expected a full warp"), std::string::npos) << fault;
}

}  // namespace
}  // namespace packproof::ptx
