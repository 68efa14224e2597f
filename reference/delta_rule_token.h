#pragma once

#include <cstdint>

namespace packproof::reference {

/// One token of one value head in the hand-written backward, on states [K, pitch] whose rows are
/// padded with zeros to a multiple of four columns. Column arrays have `pitch` entries.
struct TokenInputs {
  int64_t key_dim = 0;
  int64_t pitch = 0;
  const double* q = nullptr;  ///< [K], normalised.
  const double* k = nullptr;  ///< [K], normalised.
  const double* v = nullptr;
  double decay = 0.0;  ///< exp(g).
  double beta = 0.0;
  double scale = 0.0;
};

/// What the backward step of spec 3.3 leaves behind.
struct TokenGradients {
  double* q = nullptr;        ///< [K], added to.
  double* k = nullptr;        ///< [K], added to.
  double* d_delta = nullptr;  ///< e_t per column; dv = beta e_t.
  double g = 0.0;
  double beta = 0.0;
};

/// `gradient` is G on entry (without this token's output) and exp(g) Ghat on return. With
/// `norms`, squared column norms: [0] of G with the output's share, [1] of Ghat, [2] of S_t.
using BackwardToken = void (*)(const TokenInputs& token, const double* before, const double* after,
                               const double* residual, const double* d_output, double* gradient,
                               double* const* norms, TokenGradients& result);

/// The forward step of spec 3.1 from S_{t-1} to S_t; `residual` receives v - rho.
using ForwardToken = void (*)(const TokenInputs& token, const double* before, double* after,
                              double* residual);

struct TokenSteps {
  ForwardToken forward;
  BackwardToken backward;
};

/// The fastest version that this CPU runs.
TokenSteps delta_rule_token_steps();

}  // namespace packproof::reference
