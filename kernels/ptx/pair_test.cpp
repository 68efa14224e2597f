#include "kernels/ptx/pair.cuh"

#include <cmath>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

namespace packproof::ptx {
namespace {

/// Value of a 16-bit number with `mantissa` stored bits, from its definition.
double value_of(uint32_t bits, int mantissa) {
  const int exponent_bits = 15 - mantissa;
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const auto fraction = static_cast<double>(bits & ((1U << mantissa) - 1));
  const int exponent = static_cast<int>(bits >> mantissa & ((1U << exponent_bits) - 1));
  const double sign = (bits & 0x8000U) != 0 ? -1.0 : 1.0;
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - mantissa);
  return sign * std::ldexp(fraction + std::ldexp(1.0, mantissa), exponent - bias - mantissa);
}

template <typename T>
void expect_pairs(int mantissa) {
  const uint32_t infinity = 0x7fffU & ~((1U << mantissa) - 1);
  for (uint32_t bits = 0; bits < infinity; ++bits) {
    for (const uint32_t sign : {0U, 0x8000U}) {
      const uint32_t pattern = bits | sign;
      const auto value = static_cast<float>(value_of(pattern, mantissa));
      // Each half is read and written without a look at the other one.
      ASSERT_EQ(Pair<T>::low(pattern | 0x7fff0000U), value);
      ASSERT_EQ(Pair<T>::high(pattern << 16 | 0x7fffU), value);
      ASSERT_EQ(Pair<T>::pack(value, 1.0f) & 0xffffU, pattern);
      ASSERT_EQ(Pair<T>::pack(1.0f, value) >> 16, pattern);
    }
    // Halfway to the next number: to the even one. A little less or more: to the nearest.
    if (bits + 1 == infinity) continue;
    const double middle = (value_of(bits, mantissa) + value_of(bits + 1, mantissa)) / 2;
    const auto halfway = static_cast<float>(middle);
    const float infinite = std::numeric_limits<float>::infinity();
    ASSERT_EQ(Pair<T>::pack(halfway, 0.0f), bits + bits % 2);
    ASSERT_EQ(Pair<T>::pack(std::nextafterf(halfway, 0.0f), 0.0f), bits);
    ASSERT_EQ(Pair<T>::pack(std::nextafterf(halfway, infinite), 0.0f), bits + 1);
  }
  EXPECT_EQ(Pair<T>::pack(std::numeric_limits<float>::infinity(), 0.0f), infinity);
  EXPECT_TRUE(std::isnan(Pair<T>::low(Pair<T>::pack(std::nanf(""), 0.0f))));
}

TEST(Pair, OfBFloat16RoundsToNearestEven) { expect_pairs<BFloat16>(7); }

TEST(Pair, OfHalfRoundsToNearestEven) { expect_pairs<Half>(10); }

}  // namespace
}  // namespace packproof::ptx
