#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstdint>

/// Running error analysis: numbers that carry a bound on the error of their own float32 evaluation.
///
/// The formulas of an op are written once as templates. With double they give gradients, with long
/// double a check of those, and with `Float32Error` the bound that a candidate's budget rests on.
/// The rules of every operation are derived in harness/oracle/README.md.
namespace packproof::reference {

/// Unit roundoff of float32.
inline constexpr double kFloat32Unit = 0x1p-24;

/// What one flush of a subnormal result to zero can lose.
inline constexpr double kFloat32Flush = 0x1p-126;

/// A library function may err by 4 ulp, and an ulp is at most 2 units of the value.
inline constexpr double kFunctionUnits = 8.0;

/// Units of absolute value that a sum of `count` rounded products loses in any order: at most
/// `count`, and as independent roundings rarely more than their square root (factor 3).
inline double summation_units(int64_t count) {
  const auto n = static_cast<double>(count);
  return std::min(n, 3.0 * std::sqrt(n));
}

/// The exact value of a quantity, and how far its float32 evaluation may be from it.
struct Float32Error {
  double value = 0.0;
  double error = 0.0;

  Float32Error() = default;

  /// An input, or a constant that float32 holds.
  Float32Error(double exact) : value(exact) {}

  Float32Error(double exact, double bound) : value(exact), error(bound) {}
};

namespace detail {

inline Float32Error rounded(double value, double error) {
  return {value, error + kFloat32Unit * (std::fabs(value) + error) + kFloat32Flush};
}

}  // namespace detail

inline Float32Error operator-(Float32Error a) { return {-a.value, a.error}; }

inline Float32Error operator+(Float32Error a, Float32Error b) {
  return detail::rounded(a.value + b.value, a.error + b.error);
}

inline Float32Error operator-(Float32Error a, Float32Error b) { return a + -b; }

inline Float32Error operator*(Float32Error a, Float32Error b) {
  return detail::rounded(a.value * b.value, std::fabs(a.value) * b.error +
                                                std::fabs(b.value) * a.error + a.error * b.error);
}

/// What an instantiation is run for: the value, or with `Float32Error` the bound.
template <std::floating_point Real>
double outcome(Real x) {
  return static_cast<double>(x);
}

inline double outcome(Float32Error x) { return x.error; }

/// A sum of products or of plain terms, in any order.
template <typename Number>
class Sum {
 public:
  void add_product(Number a, Number b) { total_ += a * b; }

  void add(Number term) { total_ += term; }

  Number total() const { return total_; }

 private:
  Number total_ = 0.0;
};

template <>
class Sum<Float32Error> {
 public:
  void add_product(Float32Error a, Float32Error b) {
    add({a.value * b.value,
         std::fabs(a.value) * b.error + std::fabs(b.value) * a.error + a.error * b.error});
  }

  void add(Float32Error term) {
    value_ += term.value;
    error_ += term.error;
    magnitude_ += std::fabs(term.value) + term.error;
    ++count_;
  }

  /// One rounding more than terms, for the product that a fused multiply-add does not round.
  Float32Error total() const {
    return {value_, error_ + kFloat32Unit * summation_units(count_ + 1) * magnitude_ +
                        static_cast<double>(count_) * kFloat32Flush};
  }

 private:
  double value_ = 0.0;
  double error_ = 0.0;
  double magnitude_ = 0.0;
  int64_t count_ = 0;
};

/// 1 + x: the companion 1 + |x| covers evaluations that multiply out.
template <std::floating_point Real>
Real one_plus(Real x) {
  return 1 + x;
}

inline Float32Error one_plus(Float32Error x) {
  return {1.0 + x.value,
          x.error + kFloat32Unit * (1.0 + std::fabs(x.value) + x.error) + kFloat32Flush};
}

template <std::floating_point Real>
Real exponential(Real x) {
  return std::exp(x);
}

/// e^x by a function of 4 ulp, or as a power of two of the rounded product x log2(e).
inline Float32Error exponential(Float32Error x) {
  const double value = std::exp(x.value);
  const double units = kFunctionUnits + 2.0 * std::fabs(x.value);
  return {value, value * (std::expm1(x.error) + kFloat32Unit * units) + kFloat32Flush};
}

template <std::floating_point Real>
Real sigmoid(Real x) {
  // Of the two forms the one whose exponential cannot overflow.
  if (x >= 0) return 1 / (1 + std::exp(-x));
  const Real e = std::exp(x);
  return e / (1 + e);
}

/// Slope times error of the argument (a slope grows by at most e^error over it), then exponential,
/// sum and quotient.
inline Float32Error sigmoid(Float32Error x) {
  const double value = sigmoid(x.value);
  const double other = sigmoid(-x.value);
  const double slope = std::min(0.25, value * other * std::exp(std::min(x.error, 50.0)));
  const double units = other * (kFunctionUnits + 2.0 * std::fabs(x.value)) + 2.0;
  return {value, slope * x.error + kFloat32Unit * units * value + kFloat32Flush};
}

template <std::floating_point Real>
Real softplus(Real x) {
  return std::max(x, Real(0)) + std::log1p(std::exp(-std::fabs(x)));
}

/// log(1 + e^x), the sum 1 + e^x rounded.
inline Float32Error softplus(Float32Error x) {
  const double value = softplus(x.value);
  const double slope = std::min(1.0, sigmoid(x.value) * std::exp(std::min(x.error, 50.0)));
  const double exp_units = sigmoid(x.value) * (kFunctionUnits + 2.0 * std::fabs(x.value));
  return {value, slope * x.error + kFloat32Unit * (exp_units + 2.0 + kFunctionUnits * value)};
}

template <std::floating_point Real>
Real inverse_square_root(Real x) {
  return 1 / std::sqrt(x);
}

/// For x > 0 whose error is small against it, as a sum of squares' is.
inline Float32Error inverse_square_root(Float32Error x) {
  const double value = 1.0 / std::sqrt(x.value);
  const double relative = x.error / x.value;
  return {value, value * (0.5 * relative * (1.0 + relative) + kFloat32Unit * kFunctionUnits)};
}

/// x sigmoid(x); where the sigmoid is flushed to zero, |x| times the flush is lost.
template <typename Number>
Number silu(Number x) {
  return x * sigmoid(x);
}

/// silu'(x) = sigmoid(x) (1 + x (1 - sigmoid(x))), spec 3.5.
template <typename Number>
Number silu_slope(Number x) {
  const Number s = sigmoid(x);
  return s * (Number(1.0) + x * (Number(1.0) - s));
}

}  // namespace packproof::reference
