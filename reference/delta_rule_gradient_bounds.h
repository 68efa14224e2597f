#pragma once

#include <cstdint>
#include <vector>

namespace packproof::reference {

/// Sizes and float32 errors of one token's scalars, as the gradient recursions need them.
struct TokenErrors {
  int64_t key_dim = 0;
  int64_t value_dim = 0;
  double scale = 0.0;
  double q = 0.0;            ///< |q|, as the rule uses it.
  double k = 0.0;            ///< |k|.
  double alpha = 0.0;        ///< exp(g).
  double alpha_error = 0.0;  ///< Relative.
  double beta = 0.0;
  double normalisation = 0.0;  ///< Relative error of q and k.
};

/// What one backward token computed, per value column: 2-norms of state and gradient columns, the
/// forward error bounds before and after the token, and the values of the column sums.
struct TokenColumns {
  const double* state_before = nullptr;  ///< |S_{t-1}|.
  const double* state_after = nullptr;   ///< |S_t|.
  const double* error_before = nullptr;
  const double* error_after = nullptr;
  const double* gradient = nullptr;   ///< |G|, this token's output included.
  const double* remaining = nullptr;  ///< |Ghat|.
  const double* residual = nullptr;   ///< v - rho.
  const double* d_delta = nullptr;    ///< e.
  const double* d_output = nullptr;
};

/// Bounds on the errors of one token's gradients. Those of q and k bound the 2-norm of the whole
/// vector's error, and so every element's.
struct TokenGradientErrors {
  double q = 0.0;
  double k = 0.0;
  double g = 0.0;
  double beta = 0.0;
};

/// The running bound on the error of G per value column, from the last token to the first
/// (derivation: harness/oracle/README.md).
class GradientErrorRecursion {
 public:
  explicit GradientErrorRecursion(int64_t value_dim)
      : error_(static_cast<std::size_t>(value_dim), 0.0) {}

  /// `d_v` [V] receives the bounds of dv.
  TokenGradientErrors step(const TokenErrors& token, const TokenColumns& columns, double* d_v);

  /// Bound on the columns of G as it stands.
  const std::vector<double>& error() const { return error_; }

 private:
  std::vector<double> error_;
};

/// 2-norm error of dx = r (dy - y (y . dy)) (spec 3.5) in float32, y = x r normalised by
/// `inverse_norm` r, when dy of 2-norm `d_y` errs by `d_y_error`.
double l2norm_backward_error(int64_t key_dim, double inverse_norm, double d_y, double d_y_error);

}  // namespace packproof::reference
