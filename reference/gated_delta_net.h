#pragma once

#include "reference/mixer_ops.h"
#include "reference/model_config.h"
#include "reference/parameters.h"
#include "reference/token_layout.h"

#include <ATen/ATen.h>

namespace packproof::reference {

/// What a delta-net layer carries from call to call (spec 4.4); undefined before the first one.
struct MixerState {
  at::Tensor conv;       ///< [N, cd, Kc]: last Kc raw projections, oldest first, zeros on the left.
  at::Tensor recurrent;  ///< [N, Hv, K, V].
};

/// Projections of the mixer input (spec 2.5 step 2), alike for both ways of storing the weights.
struct MixerProjections {
  at::Tensor c;  ///< [B, L, cd], channels q | k | v.
  at::Tensor z;  ///< [B, L, Hv, V].
  at::Tensor b;  ///< [B, L, Hv].
  at::Tensor a;  ///< [B, L, Hv].
};

MixerProjections mixer_projections(const ParameterScope& scope, const ModelConfig& config,
                                   const at::Tensor& u);

/// Gated DeltaNet (spec 2.5) on u [B, L, D]; `scope` is the layer's "linear_attn.". Continues from
/// `state` and leaves the new one in it: one slice per batch row, or per packed sequence.
at::Tensor gated_delta_net(const ParameterScope& scope, const ModelConfig& config, int64_t layer,
                           const at::Tensor& u, const TokenLayout& layout, const MixerOps& ops,
                           MixerState& state);

}  // namespace packproof::reference
