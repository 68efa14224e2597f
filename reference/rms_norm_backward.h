#pragma once

#include <ATen/ATen.h>

namespace packproof::reference {

/// RMSNorm with zero-centred weight (spec 2.2) over the last axis of x, written for the hand-written
/// gradients.
at::Tensor rms_norm_1p_forward(const at::Tensor& x, const at::Tensor& weight, double eps);

struct NormGradients {
  at::Tensor d_x;
  at::Tensor d_weight;  ///< Summed over all rows.
};

/// xh = x r, u = dy (1 + w): dx = r (u - xh mean(u xh)), dw = sum dy xh (spec 3.5).
NormGradients rms_norm_1p_backward(const at::Tensor& x, const at::Tensor& weight, double eps,
                                   const at::Tensor& d_output);

}  // namespace packproof::reference
