#pragma once

#include "reference/float32_error.h"

/// The elementwise gates and their gradients by the formulas of spec 2.4 to 2.6 and 3.5, for every
/// number type of `float32_error.h`.
namespace packproof::reference {

/// g = -exp(A_log) softplus(a + dt_bias) and its gradients.
template <typename Number>
struct LogDecayFormula {
  double A_log = 0.0;
  double dt_bias = 0.0;

  Number forward(double a) const {
    return -(exponential(Number(A_log)) * softplus(Number(a) + Number(dt_bias)));
  }

  /// dg/da = dg/d(dt_bias) = -exp(A_log) sigmoid(a + dt_bias).
  Number slope(double a) const {
    return -(exponential(Number(A_log)) * sigmoid(Number(a) + Number(dt_bias)));
  }
};

/// beta = sigmoid(b): dbeta/db = beta (1 - beta).
template <typename Number>
Number sigmoid_slope(Number x) {
  const Number s = sigmoid(x);
  return s * (Number(1.0) - s);
}

/// y = x sigmoid(gate).
template <typename Number>
struct OutputGateFormula {
  static Number forward(double x, double gate) { return Number(x) * sigmoid(Number(gate)); }

  static Number d_x(double gate, double d_y) { return Number(d_y) * sigmoid(Number(gate)); }

  static Number d_gate(double x, double gate, double d_y) {
    return Number(d_y) * Number(x) * sigmoid_slope(Number(gate));
  }
};

/// y = silu(gate) up.
template <typename Number>
struct SwigluFormula {
  static Number forward(double gate, double up) { return silu(Number(gate)) * Number(up); }

  static Number d_gate(double gate, double up, double d_y) {
    return Number(d_y) * Number(up) * silu_slope(Number(gate));
  }

  static Number d_up(double gate, double d_y) { return Number(d_y) * silu(Number(gate)); }
};

}  // namespace packproof::reference
