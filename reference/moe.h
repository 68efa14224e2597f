#pragma once

#include "reference/model_config.h"
#include "reference/parameters.h"

#include <ATen/ATen.h>

namespace packproof::reference {

struct MoeResult {
  at::Tensor output;         ///< [T, D].
  at::Tensor router_logits;  ///< [T, E].
};

/// Mixture of experts with the gated shared expert (spec 2.6) on x [T, D]; `scope` is the layer's
/// "mlp.". Experts are added in increasing order, as the library does.
MoeResult moe_block(const ParameterScope& scope, const ModelConfig& config, const at::Tensor& x);

}  // namespace packproof::reference
