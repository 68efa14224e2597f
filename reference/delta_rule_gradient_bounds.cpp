#include "reference/delta_rule_gradient_bounds.h"

#include "reference/delta_rule_bounds.h"
#include "reference/float32_error.h"

#include <algorithm>
#include <cmath>

namespace packproof::reference {

TokenGradientErrors GradientErrorRecursion::step(const TokenErrors& token,
                                                 const TokenColumns& columns, double* d_v) {
  constexpr double u = kFloat32Unit;
  const double key_dot = token.normalisation + u * summation_units(token.key_dim + 1);
  const double value_dot = u * summation_units(token.value_dim + 1);
  const double pair_dot = u * summation_units(2 * token.value_dim + 1);
  const double full_dot = u * summation_units(token.key_dim * token.value_dim + 1);
  const double outer = token.normalisation + 3.0 * u;
  const double beta = std::fabs(token.beta);
  const double k = token.k;
  const double contraction = std::max(1.0, std::fabs(1.0 - token.beta * k * k));
  const double floor = kFloat32Flush * static_cast<double>(token.key_dim + token.value_dim);
  TokenGradientErrors result;
  for (std::size_t j = 0; j < error_.size(); ++j) {
    const double d_output = std::fabs(columns.d_output[j]);
    const double residual = std::fabs(columns.residual[j]);
    const double d_delta = std::fabs(columns.d_delta[j]);
    const double delta = beta * residual;
    // Forward quantities: the decayed column, its prediction, the correction.
    const double decayed = token.alpha * columns.state_before[j];
    const double decayed_error =
        token.alpha * columns.error_before[j] + (token.alpha_error + u) * decayed + floor;
    const double predicted_error = k * decayed_error + key_dot * k * decayed;
    const double residual_error = predicted_error + u * residual;
    const double delta_error = beta * residual_error + u * delta;

    // G += s q dO^T, e = G^T k, dv = beta e.
    const double gradient_error = error_[j] + outer * token.scale * token.q * d_output +
                                  u * (columns.gradient[j] + error_[j]) + floor;
    const double gradient = columns.gradient[j] + gradient_error;
    const double d_delta_error = k * gradient_error + key_dot * k * gradient;
    d_v[j] = beta * d_delta_error + u * beta * d_delta + kFloat32Flush;

    // Ghat = G - k dv^T = (I - beta k k^T) G, then its decay.
    const double local = k * (beta * key_dot * k * gradient + outer * beta * d_delta);
    const double remaining_error =
        contraction * gradient_error + local + u * columns.remaining[j] + floor;
    const double remaining = columns.remaining[j] + remaining_error;

    // Each sum over columns: errors of its factors, then its own roundings.
    const double state = columns.state_after[j] + columns.error_after[j];
    result.q += d_output * (columns.error_after[j] + (value_dot + 2.0 * u) * state);
    result.k += gradient_error * delta + gradient * delta_error + decayed_error * beta * d_delta +
                (decayed + decayed_error) * d_v[j] +
                pair_dot * (gradient * delta + decayed * beta * d_delta);
    result.beta += d_delta_error * residual + (d_delta + d_delta_error) * residual_error +
                   value_dot * d_delta * residual;
    result.g +=
        remaining_error * decayed + remaining * decayed_error + full_dot * remaining * decayed;

    error_[j] = token.alpha * remaining_error + token.alpha * (token.alpha_error + u) * remaining +
                kFloat32Flush * (remaining + 1.0);
  }
  result.q = token.scale * result.q + floor;
  result.k += floor;
  result.beta += floor;
  result.g += floor * static_cast<double>(token.key_dim);
  return result;
}

double l2norm_backward_error(int64_t key_dim, double inverse_norm, double d_y, double d_y_error) {
  // r and y each err by the norm's units (y twice), the dot by its sum, then two differences and
  // products; the projection I - y y^T does not enlarge what dy brings.
  const double units = 3.0 * l2norm_units(key_dim) + summation_units(key_dim + 1) + 4.0;
  return inverse_norm * (d_y_error + kFloat32Unit * units * (d_y + d_y_error)) +
         kFloat32Flush * (1.0 + inverse_norm * static_cast<double>(key_dim));
}

}  // namespace packproof::reference
