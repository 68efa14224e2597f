#pragma once

#include "reference/parameters.h"

#include <ATen/ATen.h>

namespace packproof::reference {

/// down(silu(gate(x)) * up(x)), spec 2.6. `scope` holds gate_proj, up_proj and down_proj; x [..,
/// D].
at::Tensor swiglu_mlp(const ParameterScope& scope, const at::Tensor& x);

}  // namespace packproof::reference
