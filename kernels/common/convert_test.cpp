#include "kernels/common/convert.cuh"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace packproof {
namespace {

/// The value of a 16-bit pattern by the format's definition: sign, exponent with bias, fraction.
double value_by_definition(uint16_t bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = bits & 0x8000 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  const double scaled = exponent == 0 ? fraction : fraction + (1 << fraction_bits);
  return sign * std::ldexp(scaled, std::max(exponent, 1) - bias - fraction_bits);
}

template <typename T>
void check_format(int exponent_bits, int fraction_bits) {
  for (uint32_t pattern = 0; pattern <= 0xffff; ++pattern) {
    const auto bits = static_cast<uint16_t>(pattern);
    const double want = value_by_definition(bits, exponent_bits, fraction_bits);
    const float widened = to_float(T{bits});
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(widened));
      EXPECT_TRUE(std::isnan(to_float(from_float<T>(widened))));
      continue;
    }
    ASSERT_EQ(widened, want) << pattern;
    ASSERT_EQ(from_float<T>(widened).bits, bits) << pattern;
    // Between two neighbours the middle goes to the even one, and less than it to the nearer one.
    if ((bits & 0x7fff) >= value_by_definition(0, 1, 15) && std::isfinite(want)) {
      const auto next_bits = static_cast<uint16_t>(bits + 1);
      double next = value_by_definition(next_bits, exponent_bits, fraction_bits);
      // What follows the largest finite value, were the format longer.
      if (std::isinf(next)) next = want + (want - to_float(T{static_cast<uint16_t>(bits - 1)}));
      const auto middle = static_cast<float>((want + next) / 2);
      const uint16_t even = bits % 2 == 0 ? bits : next_bits;
      ASSERT_EQ(from_float<T>(middle).bits, even) << pattern;
      ASSERT_EQ(from_float<T>(std::nextafter(middle, static_cast<float>(want))).bits, bits);
      if (std::isfinite(next) && middle != 0.0f) {
        ASSERT_EQ(
            from_float<T>(
                std::nextafter(middle, static_cast<float>(want) < middle ? INFINITY : -INFINITY))
                .bits,
            next_bits);
      }
    }
  }
}

TEST(Convert, HalfFollowsItsDefinitionForEveryPattern) { check_format<Half>(5, 10); }

TEST(Convert, BFloat16FollowsItsDefinitionForEveryPattern) { check_format<BFloat16>(8, 7); }

TEST(Convert, OverflowAndNaN) {
  EXPECT_EQ(from_float<Half>(65519.99f).bits, 0x7bff);
  EXPECT_EQ(from_float<Half>(65520.0f).bits, 0x7c00);
  EXPECT_EQ(from_float<Half>(-INFINITY).bits, 0xfc00);
  EXPECT_EQ(from_float<Half>(NAN).bits, 0x7e00);
  EXPECT_EQ(from_float<BFloat16>(3.4e38f).bits, 0x7f80);
  EXPECT_EQ(from_float<BFloat16>(float_of(0x7f800001)).bits, 0x7fc0);
}

}  // namespace
}  // namespace packproof
