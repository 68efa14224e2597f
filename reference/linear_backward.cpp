#include "reference/linear_backward.h"

namespace packproof::reference {

void GradientStore::add(const std::string& name, const at::Tensor& gradient) {
  at::Tensor& sum = gradients_[name];
  sum = sum.defined() ? sum + gradient : gradient;
}

at::Tensor linear_forward(const ParameterScope& scope, std::string_view name, const at::Tensor& x) {
  const std::string base(name);
  const at::Tensor y = at::mm(x, scope[base + ".weight"].t());
  return scope.has(base + ".bias") ? y + scope[base + ".bias"] : y;
}

at::Tensor linear_backward(const ParameterScope& scope, std::string_view name, const at::Tensor& x,
                           const at::Tensor& d_output, GradientStore& store) {
  const std::string base(name);
  store.add(scope.prefix() + base + ".weight", at::mm(d_output.t(), x));
  if (scope.has(base + ".bias")) store.add(scope.prefix() + base + ".bias", d_output.sum(0));
  return at::mm(d_output, scope[base + ".weight"]);
}

at::Tensor silu_derivative(const at::Tensor& z) {
  const at::Tensor sigma = 1.0 / (1.0 + at::exp(-z));
  return sigma * (1.0 + z * (1.0 - sigma));
}

}  // namespace packproof::reference
