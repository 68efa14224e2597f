#pragma once

#include "reference/parameters.h"

#include <string>
#include <string_view>

#include <ATen/ATen.h>

/// Pieces that the hand-written gradients of all blocks share. Rows are flattened: x [T, features].
namespace packproof::reference {

/// Gradients by checkpoint name, summed over the uses of a parameter.
class GradientStore {
 public:
  void add(const std::string& name, const at::Tensor& gradient);

  const Parameters& gradients() const { return gradients_; }

 private:
  Parameters gradients_;
};

/// y = x W^T (+ b).
at::Tensor linear_forward(const ParameterScope& scope, std::string_view name, const at::Tensor& x);

/// dW = dy^T x, db = sum dy; returns dx = dy W.
at::Tensor linear_backward(const ParameterScope& scope, std::string_view name, const at::Tensor& x,
                           const at::Tensor& d_output, GradientStore& store);

/// silu'(z) = sigma(z) (1 + z (1 - sigma(z))), spec 3.5.
at::Tensor silu_derivative(const at::Tensor& z);

}  // namespace packproof::reference
