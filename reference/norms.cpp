#include "reference/ops.h"

namespace packproof::reference {
namespace {

at::Tensor rms_normalised(const at::Tensor& x, double eps) {
  return x * at::rsqrt(x.pow(2).mean(-1, /*keepdim=*/true) + eps);
}

}  // namespace

at::Tensor rms_norm_1p(const at::Tensor& x, const at::Tensor& weight, double eps) {
  return rms_normalised(x, eps) * (1.0 + weight);
}

at::Tensor gated_rms_norm(const at::Tensor& x, const at::Tensor& z, const at::Tensor& weight,
                          double eps) {
  return weight * rms_normalised(x, eps) * (z * at::sigmoid(z));
}

at::Tensor l2norm(const at::Tensor& x, double eps) {
  return x * at::rsqrt(x.pow(2).sum(-1, /*keepdim=*/true) + eps);
}

}  // namespace packproof::reference
