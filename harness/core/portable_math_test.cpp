#include "harness/core/portable_math.h"

#include <cmath>

#include <gtest/gtest.h>

namespace packproof {
namespace {

// The promise of the header, plus what the C library itself may be off by.
constexpr double kRelative = 2.5e-15;

void expect_close(double found, double expected, double x) {
  EXPECT_LE(std::abs(found - expected), kRelative * std::abs(expected)) << "at " << x;
}

TEST(PortableMath, AgreesWithTheCLibrary) {
  for (double x = -700.0; x < 700.0; x += 0.37) {
    expect_close(portable::exp(x), std::exp(x), x);
    expect_close(portable::softplus(x),
                 x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x)), x);
    expect_close(portable::sigmoid(x), 1.0 / (1.0 + std::exp(-x)), x);
  }
  for (double x = 1e-300; x < 1e300; x *= 1.7) expect_close(portable::log(x), std::log(x), x);
  for (double x = 0.5; x < 2.0; x += 0.0013) expect_close(portable::log(x), std::log(x), x);
}

TEST(PortableMath, InvertsSoftplus) {
  for (double y = 1e-6; y < 1e3; y *= 1.1) {
    const double x = portable::inverse_softplus(y);
    // An error of x is an error of y times sigmoid(x) <= y, so |x| roundings bound it.
    EXPECT_LE(std::abs(portable::softplus(x) - y), kRelative * y * (2.0 + std::abs(x))) << y;
  }
}

TEST(PortableMath, EndsOfTheRange) {
  EXPECT_EQ(portable::exp(0.0), 1.0);
  EXPECT_EQ(portable::log(1.0), 0.0);
  EXPECT_EQ(portable::exp(-800.0), 0.0);
  EXPECT_TRUE(std::isinf(portable::exp(800.0)));
  EXPECT_EQ(portable::sigmoid(-800.0), 0.0);
}

}  // namespace
}  // namespace packproof
