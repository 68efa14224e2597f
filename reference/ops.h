#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include <ATen/ATen.h>

/// The ops of the model as their definitions read, on f64 tensors and made of differentiable ATen
/// operations only: automatic differentiation of these functions is the first of the two
/// derivations of every gradient. Shapes are the caller's to check.
///
/// Packing: `cu_seqlens` empty means dense, N = B sequences of L rows; else B = 1, and rows after
/// cu_seqlens[N] belong to no sequence: they reach nothing and their results are zero.
namespace packproof::reference {

struct ConvResult {
  at::Tensor output;       ///< [B, L, C].
  at::Tensor final_state;  ///< [N, C, W - 1]: the last W - 1 inputs of a sequence, oldest first.
};

/// Depthwise causal convolution and optional SiLU (spec 2.5 step 3): x [B, L, C], weight [C, W],
/// bias [C], initial_state [N, C, W - 1] in the place of the inputs before a sequence (zeros
/// without it).
///
/// `seq_idx`, B * L entries or empty (spec 6.3): a tap counts iff its row has the id of the output
/// row, and a row whose id is negative gives zero. States follow `cu_seqlens`, or the batch rows
/// without it.
ConvResult causal_conv1d(const at::Tensor& x, const at::Tensor& weight,
                         const std::optional<at::Tensor>& bias,
                         const std::optional<at::Tensor>& initial_state,
                         std::span<const int64_t> cu_seqlens, bool silu,
                         std::span<const int64_t> seq_idx = {});

struct DeltaResult {
  at::Tensor output;       ///< [B, T, Hv, V].
  at::Tensor final_state;  ///< [N, Hv, K, V].
};

/// The gated delta rule token by token (spec 3.1): q, k [B, T, Hk, K], v [B, T, Hv, V], g and beta
/// [B, T, Hv], initial_state [N, Hv, K, V]. Value head h reads key head h / (Hv / Hk). `scale` 0
/// means K^-1/2. With `qk_l2norm`, q and k are normalised first.
DeltaResult recurrent_gated_delta_rule(const at::Tensor& q, const at::Tensor& k,
                                       const at::Tensor& v, const at::Tensor& g,
                                       const at::Tensor& beta,
                                       const std::optional<at::Tensor>& initial_state,
                                       std::span<const int64_t> cu_seqlens, double scale,
                                       bool qk_l2norm);

/// RMSNorm with zero-centred weight (spec 2.2), over the last axis.
at::Tensor rms_norm_1p(const at::Tensor& x, const at::Tensor& weight, double eps);

/// Norm, weight, then SiLU of the gate z (spec 2.2), over the last axis.
at::Tensor gated_rms_norm(const at::Tensor& x, const at::Tensor& z, const at::Tensor& weight,
                          double eps);

/// x (sum x^2 + eps)^-1/2 (spec 2.2), over the last axis.
at::Tensor l2norm(const at::Tensor& x, double eps = 1e-6);

struct GateResult {
  at::Tensor g;     ///< Log decay, never positive.
  at::Tensor beta;  ///< In (0, 1).
};

/// g = -exp(A_log) softplus(a + dt_bias) and beta = sigmoid(b) (spec 2.5 step 5): a, b [..., Hv],
/// A_log, dt_bias [Hv].
GateResult delta_rule_gate(const at::Tensor& a, const at::Tensor& b, const at::Tensor& A_log,
                           const at::Tensor& dt_bias);

/// The g of `delta_rule_gate` alone.
at::Tensor log_decay(const at::Tensor& a, const at::Tensor& A_log, const at::Tensor& dt_bias);

}  // namespace packproof::reference
