#include "kernels/common/math.cuh"

#include <cmath>
#include <limits>
#include <string>

#include <gtest/gtest.h>

namespace packproof {
namespace {

constexpr double kSmallestNormal = 0x1p-126;

double ulp_at(double exact) {
  int exponent = 0;
  std::frexp(exact, &exponent);
  return std::ldexp(1.0, std::max(exponent - 24, -149));
}

struct Worst {
  double ulps = 0.0;
  float at = 0.0f;
};

/// Largest error over the floats of one sign between `first` and `last`, every 997th by bits and
/// both ends; only where the exact result is normal. (Every float was measured once: 4.6 minutes.)
template <typename Function, typename Exact>
Worst worst_between(float first, float last, Function function, Exact exact) {
  Worst worst;
  const uint32_t end = bits_of(last);
  for (uint64_t bits = bits_of(first); bits <= end;
       bits += bits + 997 > end && bits < end ? end - bits : 997) {
    const float x = float_of(static_cast<uint32_t>(bits));
    const double want = exact(static_cast<double>(x));
    if (std::fabs(want) < kSmallestNormal) continue;
    const double ulps = std::fabs(function(x) - want) / ulp_at(want);
    if (!(ulps <= worst.ulps)) worst = {ulps, x};
  }
  return worst;
}

double exact_sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

double exact_softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::fabs(x))); }

void expect_within(double bound, Worst worst) {
  EXPECT_LE(worst.ulps, bound) << "at " << worst.at;
  // A range that was never evaluated would show no error at all.
  EXPECT_GT(worst.ulps, 0.25) << "the measurement found suspiciously little";
}

TEST(Math, ExpIsWithinOneUlp) {
  expect_within(1.0, worst_between(0.0f, 88.72f, exp_f32, [](double x) { return std::exp(x); }));
  expect_within(1.0, worst_between(-0.0f, -87.33f, exp_f32, [](double x) { return std::exp(x); }));
}

TEST(Math, ExpAtItsEdges) {
  EXPECT_EQ(exp_f32(0.0f), 1.0f);
  EXPECT_EQ(exp_f32(-0.0f), 1.0f);
  EXPECT_EQ(exp_f32(89.0f), std::numeric_limits<float>::infinity());
  EXPECT_EQ(exp_f32(std::numeric_limits<float>::infinity()),
            std::numeric_limits<float>::infinity());
  EXPECT_EQ(exp_f32(-105.0f), 0.0f);
  EXPECT_EQ(exp_f32(-std::numeric_limits<float>::infinity()), 0.0f);
  EXPECT_TRUE(std::isnan(exp_f32(std::numeric_limits<float>::quiet_NaN())));
  // Subnormal results: within one step of 2^-149.
  for (float x = -87.4f; x > -104.0f; x -= 0.37f) {
    EXPECT_NEAR(exp_f32(x), std::exp(static_cast<double>(x)), 0x1p-149) << x;
  }
}

TEST(Math, Log1pIsWithinTwoUlp) {
  expect_within(2.0,
                worst_between(0.0f, 1.0f, log1p_unit_f32, [](double u) { return std::log1p(u); }));
}

TEST(Math, SoftplusIsWithinThreeUlp) {
  expect_within(3.0, worst_between(0.0f, 3e38f, softplus_f32, exact_softplus));
  expect_within(3.0, worst_between(-0.0f, -110.0f, softplus_f32, exact_softplus));
}

TEST(Math, SigmoidIsWithinThreeUlp) {
  expect_within(3.0, worst_between(0.0f, 1000.0f, sigmoid_f32, exact_sigmoid));
  expect_within(3.0, worst_between(-0.0f, -110.0f, sigmoid_f32, exact_sigmoid));
  EXPECT_EQ(sigmoid_f32(0.0f), 0.5f);
}

TEST(Math, SiluIsWithinFourUlp) {
  const auto exact = [](double x) { return x * exact_sigmoid(x); };
  expect_within(4.0, worst_between(0.0f, 1000.0f, silu_f32, exact));
  expect_within(4.0, worst_between(-0.0f, -87.0f, silu_f32, exact));
  EXPECT_EQ(silu_f32(0.0f), 0.0f);
}

TEST(Math, RsqrtIsWithinTwoUlp) {
  expect_within(
      2.0, worst_between(0x1p-149f, 3e38f, rsqrt_f32, [](double x) { return 1.0 / std::sqrt(x); }));
}

}  // namespace
}  // namespace packproof
