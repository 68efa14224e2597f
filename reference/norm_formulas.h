#pragma once

#include "reference/float32_error.h"

#include <cstdint>
#include <vector>

/// Rows of the norms and their gradients by the formulas of spec 2.2 and 3.5, for every number
/// type of `float32_error.h`.
namespace packproof::reference {

/// (mean(x^2) + eps)^-1/2, or with the sum in the place of the mean.
template <typename Number>
Number inverse_norm(const double* x, int64_t dim, double eps, bool mean) {
  Sum<Number> squares;
  for (int64_t i = 0; i < dim; ++i) squares.add_product(Number(x[i]), Number(x[i]));
  const Number total = squares.total();
  const Number size = mean ? total * Number(1.0 / static_cast<double>(dim)) : total;
  return inverse_square_root(size + Number(eps));
}

/// RMSNorm1p: y = x r (1 + w).
template <typename Number>
struct RmsNormFormula {
  int64_t dim = 0;
  double eps = 0.0;
  const double* weight = nullptr;

  void forward(const double* x, Number* y) const {
    const Number r = inverse_norm<Number>(x, dim, eps, true);
    for (int64_t i = 0; i < dim; ++i) y[i] = Number(x[i]) * r * one_plus(Number(weight[i]));
  }

  /// u = dy (1 + w); dx = r (u - xh mean(u xh)); dw = sum dy xh.
  void backward(const double* x, const double* d_y, Number* d_x,
                std::vector<Sum<Number>>& d_weight) const {
    const Number r = inverse_norm<Number>(x, dim, eps, true);
    Sum<Number> dot;
    for (int64_t i = 0; i < dim; ++i) {
      const Number normed = Number(x[i]) * r;
      dot.add_product(Number(d_y[i]) * one_plus(Number(weight[i])), normed);
      d_weight[static_cast<std::size_t>(i)].add_product(Number(d_y[i]), normed);
    }
    const Number mean = dot.total() * Number(1.0 / static_cast<double>(dim));
    for (int64_t i = 0; i < dim; ++i) {
      const Number u = Number(d_y[i]) * one_plus(Number(weight[i]));
      d_x[i] = r * (u - Number(x[i]) * r * mean);
    }
  }
};

/// Gated norm: y = w xh silu(z).
template <typename Number>
struct GatedRmsNormFormula {
  int64_t dim = 0;
  double eps = 0.0;
  const double* weight = nullptr;

  void forward(const double* x, const double* z, Number* y) const {
    const Number r = inverse_norm<Number>(x, dim, eps, true);
    for (int64_t i = 0; i < dim; ++i) {
      y[i] = Number(weight[i]) * (Number(x[i]) * r) * silu(Number(z[i]));
    }
  }

  /// u = dy w silu(z); dx = r (u - xh mean(u xh)); dz = dy w xh silu'(z); dw = sum dy xh silu(z).
  void backward(const double* x, const double* z, const double* d_y, Number* d_x, Number* d_z,
                std::vector<Sum<Number>>& d_weight) const {
    const Number r = inverse_norm<Number>(x, dim, eps, true);
    Sum<Number> dot;
    for (int64_t i = 0; i < dim; ++i) {
      const Number normed = Number(x[i]) * r;
      const Number gated = Number(d_y[i]) * silu(Number(z[i]));
      dot.add_product(gated * Number(weight[i]), normed);
      d_weight[static_cast<std::size_t>(i)].add_product(gated, normed);
      d_z[i] = Number(d_y[i]) * Number(weight[i]) * normed * silu_slope(Number(z[i]));
    }
    const Number mean = dot.total() * Number(1.0 / static_cast<double>(dim));
    for (int64_t i = 0; i < dim; ++i) {
      const Number u = Number(d_y[i]) * silu(Number(z[i])) * Number(weight[i]);
      d_x[i] = r * (u - Number(x[i]) * r * mean);
    }
  }
};

/// l2norm: y = x r, r = (sum x^2 + eps)^-1/2.
template <typename Number>
struct L2NormFormula {
  int64_t dim = 0;
  double eps = 0.0;

  void forward(const double* x, Number* y) const {
    const Number r = inverse_norm<Number>(x, dim, eps, false);
    for (int64_t i = 0; i < dim; ++i) y[i] = Number(x[i]) * r;
  }

  /// dx = r (dy - y (y . dy)).
  void backward(const double* x, const double* d_y, Number* d_x) const {
    const Number r = inverse_norm<Number>(x, dim, eps, false);
    Sum<Number> dot;
    for (int64_t i = 0; i < dim; ++i) dot.add_product(Number(x[i]) * r, Number(d_y[i]));
    const Number total = dot.total();
    for (int64_t i = 0; i < dim; ++i) d_x[i] = r * (Number(d_y[i]) - Number(x[i]) * r * total);
  }
};

}  // namespace packproof::reference
