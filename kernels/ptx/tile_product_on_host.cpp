#include "kernels/ptx/tile_product_on_host.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace packproof::simt {
namespace {

constexpr int kRows = TileProduct::kRows;
constexpr int kColumns = TileProduct::kColumns;
constexpr int kMaxDepth = TileProduct::kMaxDepth;

inline __attribute__((always_inline)) void multiply_rows(TileProduct& m, int depth) {
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
__attribute__((target("fma"))) void multiply_rows_with_fma(TileProduct& m, int depth) {
  multiply_rows(m, depth);
}
#endif

// Without the instruction each multiply-add is a library call, five times as slow; the bits are the
// same.
void multiply_in_sequence(TileProduct& m, int depth) {
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

void multiply_like_tensor_cores(TileProduct& m, int depth) {
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

}  // namespace

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

void multiply(TileProduct& product, int depth, uint64_t seed) {
  if ((seed & 1) == 0) {
    multiply_in_sequence(product, depth);
  } else {
    multiply_like_tensor_cores(product, depth);
  }
}

}  // namespace packproof::simt
