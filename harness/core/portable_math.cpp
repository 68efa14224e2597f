#include "harness/core/portable_math.h"

#include <array>
#include <cmath>
#include <cstddef>

namespace packproof::portable {
namespace {

// ln 2 in two parts: the high one has 20 trailing zero bits, so n * kLn2High is exact for |n| < 2^20.
constexpr double kLn2High = 0x1.62e42fee00000p-1;
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

constexpr std::size_t kLogTerms = 13;

// 1, 1/3, 1/5, ...: the compiler rounds each quotient as the processor would.
constexpr std::array<double, kLogTerms> kOddReciprocals = [] {
  std::array<double, kLogTerms> table{};
  for (std::size_t i = 0; i < kLogTerms; ++i) table[i] = 1.0 / static_cast<double>(2 * i + 1);
  return table;
}();

// log((1 + s) / (1 - s)) = 2 (s + s^3/3 + s^5/5 + ...); for |s| <= 0.172 the first term left out is
// below 2^-60 of the sum.
double log_of_ratio(double s) {
  const double square = s * s;
  double sum = 0.0;
  for (std::size_t i = kLogTerms; i-- > 0;) sum = sum * square + kOddReciprocals[i];
  return 2.0 * s * sum;
}

// e^r - 1 for |r| <= 0.35: the first term left out, r^17/17!, is below 2^-60 of the sum.
double expm1_small(double r) {
  double sum = 1.0;
  for (int n = 16; n >= 2; --n) sum = 1.0 + sum * r / n;
  return r * sum;
}

double expm1(double y) { return std::abs(y) <= 0.35 ? expm1_small(y) : exp(y) - 1.0; }

double log1p(double y) { return y < 0.4 ? log_of_ratio(y / (2.0 + y)) : log(1.0 + y); }

}  // namespace

double exp(double x) {
  if (x > 709.0) return HUGE_VAL;
  if (x < -745.0) return 0.0;
  const double n = std::floor(x * 0x1.71547652b82fep+0 + 0.5);
  const double r = (x - n * kLn2High) - n * kLn2Low;
  return std::ldexp(1.0 + expm1_small(r), static_cast<int>(n));
}

double log(double x) {
  int exponent = 0;
  double mantissa = std::frexp(x, &exponent);
  if (mantissa < 0x1.6a09e667f3bcdp-1) {  // Below sqrt(1/2): keeps |s| at most 0.172.
    mantissa *= 2.0;
    --exponent;
  }
  const double log_mantissa = log_of_ratio((mantissa - 1.0) / (mantissa + 1.0));
  return exponent * kLn2High + (log_mantissa + exponent * kLn2Low);
}

double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }

double softplus(double x) { return x > 0.0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

double inverse_softplus(double y) { return y > 30.0 ? y : log(expm1(y)); }

}  // namespace packproof::portable
