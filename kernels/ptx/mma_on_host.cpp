#include "kernels/ptx/mma_on_host.h"

#include "kernels/simt/collective.h"
#include "kernels/simt/diagnosis.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace packproof::simt {
namespace {

constexpr int kRows = 16;
constexpr int kColumns = 8;
constexpr int kMaxDepth = 16;

struct MmaCall : WarpCall {
  MmaShape shape;
  uint32_t a[4];
  uint32_t b[2];
  float d[4];
};

struct Matrices {
  float a[kRows][kMaxDepth];
  float b[kMaxDepth][kColumns];
  float d[kRows][kColumns];
};

float float_of_bf16(uint32_t bits) { return std::bit_cast<float>(bits << 16); }

float float_of_f16(uint32_t bits) {
  const uint32_t sign = (bits & 0x8000) << 16;
  const uint32_t magnitude = (bits & 0x7fff) << 13;
  if ((bits & 0x7c00) == 0x7c00) return std::bit_cast<float>(sign | 0x7f800000 | magnitude);
  // Moves the exponent from one bias to the other, subnormal halves included, exactly.
  const float value = std::bit_cast<float>(magnitude) * 0x1p112f;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(value) | sign);
}

float float_of_tf32(uint32_t bits) { return std::bit_cast<float>(bits & 0xffffe000); }

template <class Convert>
void unpack_halves(const MmaCall& call, int lane, Convert convert, Matrices& m) {
  const int g = lane / 4;
  const int t = lane % 4;
  for (int i = 0; i < 4; ++i) {
    const int row = g + 8 * (i % 2);
    const int k = 2 * t + 8 * (i / 2);
    m.a[row][k] = convert(call.a[i] & 0xffff);
    m.a[row][k + 1] = convert(call.a[i] >> 16);
  }
  for (int i = 0; i < 2; ++i) {
    m.b[2 * t + 8 * i][g] = convert(call.b[i] & 0xffff);
    m.b[2 * t + 8 * i + 1][g] = convert(call.b[i] >> 16);
  }
}

void unpack_tf32(const MmaCall& call, int lane, Matrices& m) {
  const int g = lane / 4;
  const int t = lane % 4;
  for (int i = 0; i < 4; ++i) m.a[g + 8 * (i % 2)][t + 4 * (i / 2)] = float_of_tf32(call.a[i]);
  for (int i = 0; i < 2; ++i) m.b[t + 4 * i][g] = float_of_tf32(call.b[i]);
}

inline __attribute__((always_inline)) void multiply_rows(Matrices& m, int depth) {
  for (int row = 0; row < kRows; ++row) {
    float sum[kColumns];
    for (int column = 0; column < kColumns; ++column) sum[column] = m.d[row][column];
    for (int k = 0; k < depth; ++k) {
      const float a = m.a[row][k];
      for (int column = 0; column < kColumns; ++column) {
        sum[column] = __builtin_fmaf(a, m.b[k][column], sum[column]);
      }
    }
    for (int column = 0; column < kColumns; ++column) m.d[row][column] = sum[column];
  }
}

#if defined(__x86_64__)
__attribute__((target("fma"))) void multiply_rows_with_fma(Matrices& m, int depth) {
  multiply_rows(m, depth);
}
#endif

// Without the instruction each multiply-add is a library call, five times as slow; the bits are the
// same.
void multiply_in_sequence(Matrices& m, int depth) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("fma")) return multiply_rows_with_fma(m, depth);
#endif
  multiply_rows(m, depth);
}

int exponent_of(double value) {
  return static_cast<int>(std::bit_cast<uint64_t>(value) >> 52 & 0x7ff) - 1023;
}

double power_of_two(int exponent) {
  return std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52);
}

// Towards zero; beyond the largest float, infinity.
float cut_to_float(double value) {
  float rounded = static_cast<float>(value);
  if (std::fabs(static_cast<double>(rounded)) > std::fabs(value) && std::isfinite(rounded)) {
    rounded = std::nextafterf(rounded, 0.0f);
  }
  return rounded;
}

// One step of a tensor core: `sum` and `count` exact products. All of them are multiples of 2^-298
// below 2^257, well inside double's range.
float add_cut(float sum, const double* products, int count) {
  constexpr int kKeptBits = 24;
  int largest = sum == 0 ? -1023 : exponent_of(sum);
  bool finite = std::isfinite(sum);
  for (int i = 0; i < count; ++i) {
    if (products[i] != 0) largest = std::max(largest, exponent_of(products[i]));
    finite = finite && std::isfinite(products[i]);
  }
  if (!finite) {
    double result = sum;
    for (int i = 0; i < count; ++i) result += products[i];
    return static_cast<float>(result);
  }
  if (largest == -1023) return sum;
  const double scale = power_of_two(kKeptBits - largest);
  auto total = static_cast<int64_t>(sum * scale);
  for (int i = 0; i < count; ++i) total += static_cast<int64_t>(products[i] * scale);
  return cut_to_float(static_cast<double>(total) * power_of_two(largest - kKeptBits));
}

void multiply_like_tensor_cores(Matrices& m, int depth) {
  const int step = depth / 2;
  for (int row = 0; row < kRows; ++row) {
    for (int column = 0; column < kColumns; ++column) {
      for (int first = 0; first < depth; first += step) {
        double products[kMaxDepth];
        for (int k = 0; k < step; ++k) {
          products[k] = static_cast<double>(m.a[row][first + k]) * m.b[first + k][column];
        }
        m.d[row][column] = add_cut(m.d[row][column], products, step);
      }
    }
  }
}

void evaluate_mma(WarpCall* const (&lanes)[kWarpSize]) {
  check_full_warp(lanes);
  Matrices m;
  for (int lane = 0; lane < kWarpSize; ++lane) {
    const auto& call = static_cast<const MmaCall&>(*lanes[lane]);
    switch (call.shape) {
      case MmaShape::kM16N8K16Bf16:
        unpack_halves(call, lane, float_of_bf16, m);
        break;
      case MmaShape::kM16N8K16F16:
        unpack_halves(call, lane, float_of_f16, m);
        break;
      case MmaShape::kM16N8K8Tf32:
        unpack_tf32(call, lane, m);
        break;
    }
    for (int i = 0; i < 4; ++i) m.d[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2] = call.d[i];
  }
  const auto& first = static_cast<const MmaCall&>(*lanes[0]);
  const int depth = first.shape == MmaShape::kM16N8K8Tf32 ? 8 : 16;
  if ((first.thread->block->seed & 1) == 0) {
    multiply_in_sequence(m, depth);
  } else {
    multiply_like_tensor_cores(m, depth);
  }
  for (int lane = 0; lane < kWarpSize; ++lane) {
    auto& call = static_cast<MmaCall&>(*lanes[lane]);
    for (int i = 0; i < 4; ++i) call.d[i] = m.d[lane / 4 + 8 * (i / 2)][2 * (lane % 4) + i % 2];
  }
}

constexpr const char* kNames[] = {"mma_m16n8k16_bf16", "mma_m16n8k16_f16", "mma_m16n8k8_tf32"};

}  // namespace

void mma(MmaShape shape, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site) {
  MmaCall call;
  call.name = kNames[static_cast<int>(shape)];
  call.site = site;
  call.mask = ~uint32_t{0};
  call.evaluate = evaluate_mma;
  call.shape = shape;
  std::copy(a, a + 4, call.a);
  std::copy(b, b + 2, call.b);
  std::copy(d, d + 4, call.d);
  rendezvous(call);
  std::copy(call.d, call.d + 4, d);
}

}  // namespace packproof::simt
