#include "reference/delta_rule_token.h"

#include "reference/gated_delta_rule_strip.h"

#include <algorithm>

namespace packproof::reference {
namespace {

// Every function that passes a vector is inlined: no calling convention is involved.
#pragma GCC diagnostic ignored "-Wpsabi"

using Vector = double __attribute__((vector_size(32), may_alias));

constexpr int64_t kLanes = 4;

[[gnu::always_inline]] inline Vector load(const double* values) {
  return *reinterpret_cast<const Vector*>(values);
}

[[gnu::always_inline]] inline void store(double* values, Vector vector) {
  *reinterpret_cast<Vector*>(values) = vector;
}

[[gnu::always_inline]] inline double sum_of(Vector v) { return (v[0] + v[1]) + (v[2] + v[3]); }

/// Spec 3.1: rho from the decayed state, then the update.
[[gnu::always_inline]] inline void forward(const TokenInputs& token, const double* before,
                                           double* after, double* residual) {
  const int64_t pitch = token.pitch;
  std::fill_n(residual, pitch, 0.0);
  for (int64_t i = 0; i < token.key_dim; ++i) {
    const double factor = token.k[i] * token.decay;
    for (int64_t j = 0; j < pitch; j += kLanes) {
      store(residual + j, load(residual + j) + factor * load(before + i * pitch + j));
    }
  }
  for (int64_t j = 0; j < pitch; ++j) residual[j] = token.v[j] - residual[j];
  for (int64_t i = 0; i < token.key_dim; ++i) {
    const double factor = token.k[i] * token.beta;
    for (int64_t j = 0; j < pitch; j += kLanes) {
      store(after + i * pitch + j,
            token.decay * load(before + i * pitch + j) + factor * load(residual + j));
    }
  }
}

/// Spec 3.3, lines in its order: two passes over the rows of G.
template <bool kNorms>
[[gnu::always_inline]] inline void backward(const TokenInputs& token, const double* before,
                                            const double* after, const double* residual,
                                            const double* d_output, double* gradient,
                                            double* const* norms, TokenGradients& result) {
  const int64_t pitch = token.pitch;
  std::fill_n(result.d_delta, pitch, 0.0);
  if constexpr (kNorms) {
    for (int n = 0; n < 3; ++n) std::fill_n(norms[n], pitch, 0.0);
  }
  for (int64_t i = 0; i < token.key_dim; ++i) {
    const double output_factor = token.scale * token.q[i];
    Vector d_q{};
    for (int64_t j = 0; j < pitch; j += kLanes) {
      const Vector d_o = load(d_output + j);
      const Vector g = load(gradient + i * pitch + j) + output_factor * d_o;
      const Vector state = load(after + i * pitch + j);
      store(gradient + i * pitch + j, g);
      d_q += state * d_o;
      store(result.d_delta + j, load(result.d_delta + j) + token.k[i] * g);
      if constexpr (kNorms) {
        store(norms[0] + j, load(norms[0] + j) + g * g);
        store(norms[2] + j, load(norms[2] + j) + state * state);
      }
    }
    result.q[i] += token.scale * sum_of(d_q);
  }
  Vector d_beta{};
  for (int64_t j = 0; j < pitch; j += kLanes)
    d_beta += load(result.d_delta + j) * load(residual + j);
  result.beta = sum_of(d_beta);

  // G delta - S~ dv = beta (G (v - rho) - exp(g) S_{t-1} e).
  Vector d_g{};
  for (int64_t i = 0; i < token.key_dim; ++i) {
    const double v_factor = token.k[i] * token.beta;
    Vector d_k{};
    for (int64_t j = 0; j < pitch; j += kLanes) {
      const Vector g = load(gradient + i * pitch + j);
      const Vector decayed = token.decay * load(before + i * pitch + j);
      const Vector d_delta = load(result.d_delta + j);
      d_k += g * load(residual + j) - decayed * d_delta;
      const Vector remaining = g - v_factor * d_delta;  // Ghat
      d_g += remaining * decayed;
      store(gradient + i * pitch + j, token.decay * remaining);
      if constexpr (kNorms) store(norms[1] + j, load(norms[1] + j) + remaining * remaining);
    }
    result.k[i] += token.beta * sum_of(d_k);
  }
  result.g = sum_of(d_g);
}

void forward_baseline(const TokenInputs& token, const double* before, double* after,
                      double* residual) {
  forward(token, before, after, residual);
}

void backward_baseline(const TokenInputs& token, const double* before, const double* after,
                       const double* residual, const double* d_output, double* gradient,
                       double* const* norms, TokenGradients& result) {
  if (norms != nullptr) {
    backward<true>(token, before, after, residual, d_output, gradient, norms, result);
  } else {
    backward<false>(token, before, after, residual, d_output, gradient, norms, result);
  }
}

#if defined(__x86_64__)
[[gnu::target("avx2,fma"), gnu::optimize("fp-contract=fast")]] void forward_avx2(
    const TokenInputs& token, const double* before, double* after, double* residual) {
  forward(token, before, after, residual);
}

[[gnu::target("avx2,fma"), gnu::optimize("fp-contract=fast")]] void backward_avx2(
    const TokenInputs& token, const double* before, const double* after, const double* residual,
    const double* d_output, double* gradient, double* const* norms, TokenGradients& result) {
  if (norms != nullptr) {
    backward<true>(token, before, after, residual, d_output, gradient, norms, result);
  } else {
    backward<false>(token, before, after, residual, d_output, gradient, norms, result);
  }
}
#endif

}  // namespace

TokenSteps delta_rule_token_steps() {
#if defined(__x86_64__)
  if (cpu_has_avx2()) return {forward_avx2, backward_avx2};
#endif
  return {forward_baseline, backward_baseline};
}

}  // namespace packproof::reference
