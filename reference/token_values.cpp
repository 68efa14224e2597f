#include "reference/token_values.h"

#include <algorithm>
#include <bit>

namespace packproof::reference {
namespace {

/// The upper half of a float.
double from_bfloat16(uint16_t bits) { return std::bit_cast<float>(uint32_t{bits} << 16); }

/// Exponent and fraction where a float has them, times the ratio of the exponents' biases: exact,
/// of subnormal numbers too. The sign as a bit: a choice would keep it out of vectors.
double from_float16(uint16_t bits) {
  const float magnitude = std::bit_cast<float>((bits & uint32_t{0x7FFF}) << 13) * 0x1p112f;
  const uint32_t sign = (bits & uint32_t{0x8000}) << 16;
  return std::bit_cast<float>(std::bit_cast<uint32_t>(magnitude) | sign);
}

/// x - x is 0 for what is finite, else NaN. Eight sums side by side, as vectors hold them.
template <typename Number>
bool all_finite(const Number* values, int64_t count) {
  constexpr int64_t kSums = 8;
  Number sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= count; i += kSums) {
    for (int64_t j = 0; j < kSums; ++j) sums[j] += values[i + j] - values[i + j];
  }
  for (; i < count; ++i) sums[0] += values[i] - values[i];
  Number total = 0;
  for (const Number sum : sums) total += sum;
  return total == 0;
}

/// An exponent of ones is that of NaN and the infinities.
bool all_finite(const uint16_t* values, int64_t count, uint16_t exponent) {
  bool finite = true;
  for (int64_t i = 0; i < count; ++i) finite &= (values[i] & exponent) != exponent;
  return finite;
}

}  // namespace

void StoredValues::read(int64_t begin, int64_t count, double* target) const {
  const auto* const halves = reinterpret_cast<const uint16_t*>(values_) + begin;
  switch (dtype_) {
    case DType::kF32:
      std::copy_n(reinterpret_cast<const float*>(values_) + begin, count, target);
      return;
    case DType::kBF16:
      for (int64_t i = 0; i < count; ++i) target[i] = from_bfloat16(halves[i]);
      return;
    case DType::kF16:
      for (int64_t i = 0; i < count; ++i) target[i] = from_float16(halves[i]);
      return;
    default:
      std::copy_n(reinterpret_cast<const double*>(values_) + begin, count, target);
  }
}

void StoredValues::prefetch(int64_t begin, int64_t count) const {
  constexpr int64_t kLine = 64;
  const auto size = static_cast<int64_t>(size_of(dtype_));
  for (int64_t byte = begin * size; byte < (begin + count) * size; byte += kLine) {
    __builtin_prefetch(values_ + byte);
  }
}

bool StoredValues::finite(int64_t begin, int64_t count) const {
  switch (dtype_) {
    case DType::kF32:
      return all_finite(reinterpret_cast<const float*>(values_) + begin, count);
    case DType::kBF16:
      return all_finite(reinterpret_cast<const uint16_t*>(values_) + begin, count, 0x7F80);
    case DType::kF16:
      return all_finite(reinterpret_cast<const uint16_t*>(values_) + begin, count, 0x7C00);
    default:
      return all_finite(reinterpret_cast<const double*>(values_) + begin, count);
  }
}

}  // namespace packproof::reference
