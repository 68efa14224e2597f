#include "reference/aten_tensor.h"
#include "reference/evaluate.h"
#include "reference/norm_formulas.h"
#include "reference/ops.h"

namespace packproof::reference {
namespace {

/// Tensors of a norm: rows [R, D] and what goes with them.
struct NormInputs {
  Op op = Op::kRmsNorm;
  std::vector<int64_t> shape;
  double eps = 0.0;
  Tensor x;
  Tensor z;       ///< gated_rms_norm only.
  Tensor weight;  ///< Not of l2norm.

  int64_t rows() const { return shape[0]; }

  int64_t dim() const { return shape[1]; }

  const double* row(const Tensor& tensor, int64_t r) const {
    return tensor.values<double>().data() + r * dim();
  }
};

Result<NormInputs> read_inputs(const OpCallReader& reader) {
  NormInputs inputs;
  inputs.op = reader.call().op;
  inputs.eps = reader.call().attributes.eps;
  PACKPROOF_TRY(inputs.shape, reader.shape("x", 2));
  PACKPROOF_TRY(inputs.x, reader.values("x", inputs.shape));
  if (inputs.op == Op::kGatedRmsNorm) {
    PACKPROOF_TRY(inputs.z, reader.values("z", inputs.shape));
  }
  if (inputs.op != Op::kL2Norm) {
    PACKPROOF_TRY(inputs.weight, reader.values("weight", {inputs.shape[1]}));
  }
  return inputs;
}

at::Tensor definition(const NormInputs& inputs) {
  const at::Tensor x = to_aten(inputs.x);
  if (inputs.op == Op::kL2Norm) return l2norm(x, inputs.eps);
  const at::Tensor weight = to_aten(inputs.weight);
  return inputs.op == Op::kRmsNorm ? rms_norm_1p(x, weight, inputs.eps)
                                   : gated_rms_norm(x, to_aten(inputs.z), weight, inputs.eps);
}

Tensor output_bound(const NormInputs& inputs) {
  Tensor bound(DType::kF64, inputs.shape);
  double* target = bound.values<double>().data();
  const double* const weight = inputs.weight.values<double>().data();
  std::vector<Float32Error> y(static_cast<std::size_t>(inputs.dim()));
  for (int64_t r = 0; r < inputs.rows(); ++r) {
    const double* const x = inputs.row(inputs.x, r);
    if (inputs.op == Op::kL2Norm) {
      L2NormFormula<Float32Error>{inputs.dim(), inputs.eps}.forward(x, y.data());
    } else if (inputs.op == Op::kRmsNorm) {
      RmsNormFormula<Float32Error>{inputs.dim(), inputs.eps, weight}.forward(x, y.data());
    } else {
      GatedRmsNormFormula<Float32Error>{inputs.dim(), inputs.eps, weight}.forward(
          x, inputs.row(inputs.z, r), y.data());
    }
    for (const Float32Error& element : y) *target++ = outcome(element);
  }
  return bound;
}

Result<OpResult> forward(const OpCallReader& reader) {
  PACKPROOF_TRY(const NormInputs inputs, read_inputs(reader));
  PACKPROOF_CHECK_OK(reader.check_output("output", inputs.shape));
  OpResult result;
  result.outputs["output"] = from_aten(definition(inputs));
  result.float32_bounds["output"] = output_bound(inputs);
  return result;
}

template <typename Number>
void gradients_of(const NormInputs& inputs, const Tensor& d_output, TensorMap& results) {
  const auto dim = static_cast<std::size_t>(inputs.dim());
  const double* const weight = inputs.weight.values<double>().data();
  std::vector<Number> d_x(dim);
  std::vector<Number> d_z(dim);
  std::vector<Sum<Number>> d_weight(dim);
  const auto put = [&](const char* name, int64_t r, const std::vector<Number>& row) {
    const auto found = results.find(name);
    if (found == results.end()) return;
    double* const target = found->second.template values<double>().data() + r * inputs.dim();
    for (std::size_t i = 0; i < dim; ++i) target[i] = outcome(row[i]);
  };
  for (int64_t r = 0; r < inputs.rows(); ++r) {
    const double* const x = inputs.row(inputs.x, r);
    const double* const d_y = inputs.row(d_output, r);
    if (inputs.op == Op::kL2Norm) {
      L2NormFormula<Number>{inputs.dim(), inputs.eps}.backward(x, d_y, d_x.data());
    } else if (inputs.op == Op::kRmsNorm) {
      RmsNormFormula<Number>{inputs.dim(), inputs.eps, weight}.backward(x, d_y, d_x.data(),
                                                                        d_weight);
    } else {
      GatedRmsNormFormula<Number>{inputs.dim(), inputs.eps, weight}.backward(
          x, inputs.row(inputs.z, r), d_y, d_x.data(), d_z.data(), d_weight);
    }
    put("d_x", r, d_x);
    put("d_z", r, d_z);
  }
  std::vector<Number> totals(dim);
  for (std::size_t i = 0; i < dim; ++i) totals[i] = d_weight[i].total();
  put("d_weight", 0, totals);
}

Result<OpResult> backward(const OpCallReader& reader) {
  PACKPROOF_TRY(const NormInputs inputs, read_inputs(reader));
  PACKPROOF_TRY(const Tensor d_output, reader.values("d_output", inputs.shape));
  OpResult result;
  for (const auto& [name, spec] : reader.call().outputs) {
    const std::vector<int64_t> shape =
        name == "d_weight" ? std::vector<int64_t>{inputs.dim()} : inputs.shape;
    PACKPROOF_CHECK_OK(reader.check_output(name, shape));
    result.outputs[name] = Tensor(DType::kF64, shape);
    result.float32_bounds[name] = Tensor(DType::kF64, shape);
  }
  gradients_of<double>(inputs, d_output, result.outputs);
  gradients_of<Float32Error>(inputs, d_output, result.float32_bounds);
  return result;
}

}  // namespace

Result<OpResult> evaluate_norm(const OpCallReader& reader) {
  return reader.call().direction == Direction::kForward ? forward(reader) : backward(reader);
}

}  // namespace packproof::reference
