#pragma once

#include "harness/core/result.h"
#include "reference/ops.h"
#include "reference/reference.h"
#include "reference/token_layout.h"

#include <cstdint>

#include <ATen/ATen.h>

namespace packproof::reference {

/// Thrown through the model's blocks when a hook fails; the model's interface returns its error.
struct HookFailure {
  Error error;
};

/// How convolution and delta rule are computed where no gradient is wanted.
enum class OpForm : uint8_t {
  kDefinition,  ///< The differentiable definitions on ATen (ops.h).
  kFast,        ///< The same sums in plain C++.
};

/// The three ops of the delta-net mixer that a hook may replace. Without a hook they are the
/// reference's own; with one, the hook sees the call beside the reference's outputs and the model
/// goes on with what it returns. Single tokens that continue a cache go through the `*_update` ops.
class MixerOps {
 public:
  MixerOps(const OpHook& hook, OpForm form) : hook_(&hook), form_(form) {}

  /// x f64 [B, L, C], weight [C, W], `initial_state` [N, C, W - 1] or undefined. SiLU.
  ConvResult conv(int64_t layer, const at::Tensor& x, const at::Tensor& weight,
                  const at::Tensor& initial_state, const TokenLayout& layout) const;

  /// q, k [B, L, Hk, K] not normalised, v [B, L, Hv, V], g and beta [B, L, Hv], `initial_state`
  /// [N, Hv, K, V] or undefined.
  DeltaResult delta_rule(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                         const at::Tensor& v, const at::Tensor& g, const at::Tensor& beta,
                         const at::Tensor& initial_state, const TokenLayout& layout) const;

  /// x, z [R, V], weight [V].
  at::Tensor norm(int64_t layer, const at::Tensor& x, const at::Tensor& z, const at::Tensor& weight,
                  double eps) const;

 private:
  TensorMap ask(int64_t layer, OpCall call, TensorMap expected) const;

  const OpHook* hook_;
  OpForm form_;
};

}  // namespace packproof::reference
