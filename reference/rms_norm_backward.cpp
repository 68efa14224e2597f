#include "reference/rms_norm_backward.h"

#include "reference/norm_formulas.h"

#include <vector>

namespace packproof::reference {

at::Tensor rms_norm_1p_forward(const at::Tensor& x, const at::Tensor& weight, double eps) {
  const int64_t dim = x.size(-1);
  const at::Tensor rows = x.contiguous();
  const at::Tensor gain = weight.contiguous();
  at::Tensor y = at::empty_like(rows);
  const RmsNormFormula<double> formula{dim, eps, gain.data_ptr<double>()};
  for (int64_t offset = 0; offset < rows.numel(); offset += dim) {
    formula.forward(rows.data_ptr<double>() + offset, y.data_ptr<double>() + offset);
  }
  return y;
}

NormGradients rms_norm_1p_backward(const at::Tensor& x, const at::Tensor& weight, double eps,
                                   const at::Tensor& d_output) {
  const int64_t dim = x.size(-1);
  const at::Tensor rows = x.contiguous();
  const at::Tensor gain = weight.contiguous();
  const at::Tensor d_rows = d_output.contiguous();
  NormGradients result{at::empty_like(rows), at::empty_like(gain)};
  const RmsNormFormula<double> formula{dim, eps, gain.data_ptr<double>()};
  std::vector<Sum<double>> d_weight(static_cast<std::size_t>(dim));
  for (int64_t offset = 0; offset < rows.numel(); offset += dim) {
    formula.backward(rows.data_ptr<double>() + offset, d_rows.data_ptr<double>() + offset,
                     result.d_x.data_ptr<double>() + offset, d_weight);
  }
  for (int64_t i = 0; i < dim; ++i) {
    result.d_weight.data_ptr<double>()[i] = d_weight[static_cast<std::size_t>(i)].total();
  }
  return result;
}

}  // namespace packproof::reference
