#include "reference/mlp.h"

namespace packproof::reference {

at::Tensor swiglu_mlp(const ParameterScope& scope, const at::Tensor& x) {
  at::Tensor gate = scope.linear(x, "gate_proj");
  const at::Tensor up = scope.linear(x, "up_proj");
  return scope.linear(at::silu_(gate).mul_(up), "down_proj");
}

}  // namespace packproof::reference
