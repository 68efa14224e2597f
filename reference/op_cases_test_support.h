#pragma once

#include "reference/aten_tensor.h"
#include "reference/evaluate_test_support.h"
#include "reference/ops.h"

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

/// Ops beside the definitions that automatic differentiation goes through, for tests of gradients.
namespace packproof::reference::testing {

/// A function of leaves that an op computes, written with differentiable ATen operations.
using Definition = std::function<at::Tensor(std::map<std::string, at::Tensor>&)>;

struct OpCase {
  Op op;
  OpAttributes attributes;
  TensorMap inputs;  ///< Floating ones.
  std::string output;
  Definition definition;
  std::vector<std::string> gradients;  ///< Of these inputs.
  TensorMap metadata;
};

inline std::vector<int64_t> shape_of(const OpCase& op_case, const std::string& name) {
  return op_case.inputs.at(name).shape();
}

inline std::vector<OpCase> row_cases() {
  const std::vector<int64_t> rows{7, 24};
  std::vector<OpCase> cases;
  cases.push_back({Op::kRmsNorm,
                   {},
                   {{"x", normal("x", rows)}, {"weight", normal("w", {24}, 0.5)}},
                   "output",
                   [](auto& in) { return rms_norm_1p(in["x"], in["weight"], 1e-6); },
                   {"x", "weight"},
                   {}});
  cases.push_back(
      {Op::kGatedRmsNorm,
       {},
       {{"x", normal("x", rows)}, {"z", normal("z", rows, 3.0)}, {"weight", normal("w", {24})}},
       "output",
       [](auto& in) { return gated_rms_norm(in["x"], in["z"], in["weight"], 1e-6); },
       {"x", "z", "weight"},
       {}});
  cases.push_back({Op::kL2Norm,
                   {},
                   {{"x", normal("x", rows, 0.01)}},
                   "output",
                   [](auto& in) { return l2norm(in["x"], 1e-6); },
                   {"x"},
                   {}});
  cases.push_back({Op::kOutputGate,
                   {},
                   {{"x", normal("x", rows)}, {"gate", normal("gate", rows, 5.0)}},
                   "output",
                   [](auto& in) { return in["x"] * at::sigmoid(in["gate"]); },
                   {"x", "gate"},
                   {}});
  cases.push_back({Op::kSwiGlu,
                   {},
                   {{"gate", normal("gate", rows, 5.0)}, {"up", normal("up", rows)}},
                   "output",
                   [](auto& in) { return in["gate"] * at::sigmoid(in["gate"]) * in["up"]; },
                   {"gate", "up"},
                   {}});
  return cases;
}

inline OpCase conv_case(int64_t width, bool bias, bool silu, bool seq_idx) {
  OpCase result;
  result.op = Op::kCausalConv1d;
  result.attributes.activation = silu ? Activation::kSilu : Activation::kNone;
  result.inputs = {{"x", normal("x", {1, 13, 6})},
                   {"weight", normal("w", {6, width})},
                   {"initial_state", normal("state", {4, 6, width - 1})}};
  if (bias) result.inputs["bias"] = normal("bias", {6});
  const std::vector<int64_t> boundaries{0, 5, 5, 6, 12};
  const std::vector<int64_t> ids{0, 0, 0, 0, 0, 2, 3, 3, 3, 3, 3, 3, -1};
  result.metadata["cu_seqlens"] = Tensor::from_ints(DType::kI32, {5}, boundaries);
  if (seq_idx) result.metadata["seq_idx"] = Tensor::from_ints(DType::kI32, {1, 13}, ids);
  result.output = "output";
  result.definition = [bias, silu, seq_idx, boundaries, ids](auto& in) {
    std::optional<at::Tensor> added;
    if (bias) added = in["bias"];
    return causal_conv1d(in["x"], in["weight"], added, in["initial_state"], boundaries, silu,
                         seq_idx ? std::span<const int64_t>(ids) : std::span<const int64_t>())
        .output;
  };
  result.gradients = {"x", "weight", "initial_state"};
  if (bias) result.gradients.push_back("bias");
  return result;
}

inline OpCase attention_case() {
  OpCase result;
  result.op = Op::kVarlenAttention;
  result.inputs = {{"q", normal("q", {1, 9, 4, 8})},
                   {"k", normal("k", {1, 9, 2, 8})},
                   {"v", normal("v", {1, 9, 2, 8})}};
  result.metadata["cu_seqlens"] =
      Tensor::from_ints(DType::kI32, {4}, std::vector<int64_t>{0, 2, 2, 8});
  result.output = "output";
  result.definition = [](auto& in) {
    std::vector<at::Tensor> parts;
    const std::vector<int64_t> boundaries{0, 2, 8};
    for (std::size_t n = 0; n < 2; ++n) {
      const auto rows = [&](const char* name, int64_t repeats) {
        return in[name][0]
            .slice(0, boundaries[n], boundaries[n + 1])
            .repeat_interleave(repeats, 1)
            .transpose(0, 1);
      };
      const at::Tensor scores =
          at::matmul(rows("q", 1), rows("k", 2).transpose(1, 2)) / std::sqrt(8.0);
      const at::Tensor hidden = at::ones_like(scores).triu(1).to(at::kBool);
      const at::Tensor weights =
          at::softmax(scores.masked_fill(hidden, -std::numeric_limits<double>::infinity()), -1);
      parts.push_back(at::matmul(weights, rows("v", 2)).transpose(0, 1));
    }
    parts.push_back(at::zeros_like(in["q"][0].slice(0, 8, 9)));
    return at::cat(parts, 0).unsqueeze(0);
  };
  result.gradients = {"q", "k", "v"};
  return result;
}

inline OpCase rope_case() {
  OpCase result;
  result.op = Op::kRope;
  result.attributes.rotary_dim = 4;
  result.inputs = {{"x", normal("x", {1, 5, 2, 8})}};
  const std::vector<int64_t> positions{0, 1, 77, 4000, 2};
  result.metadata["position_ids"] = Tensor::from_ints(DType::kI64, {1, 5}, positions);
  result.output = "output";
  result.definition = [positions](auto& in) {
    const at::Tensor& x = in["x"];
    const at::Tensor omega = at::tensor({1.0, 0.01}, x.options());
    const at::Tensor angle =
        (at::tensor(at::ArrayRef<int64_t>(positions), at::kLong).to(x.scalar_type()).unsqueeze(-1) *
         omega)
            .view({1, 5, 1, 2});
    const at::Tensor x1 = x.narrow(-1, 0, 2), x2 = x.narrow(-1, 2, 2);
    return at::cat({x1 * at::cos(angle) - x2 * at::sin(angle),
                    x2 * at::cos(angle) + x1 * at::sin(angle), x.narrow(-1, 4, 4)},
                   -1);
  };
  result.gradients = {"x"};
  return result;
}

inline std::vector<OpCase> all_cases() {
  std::vector<OpCase> cases = row_cases();
  for (const int64_t width : {2, 4}) {
    cases.push_back(conv_case(width, true, true, false));
    cases.push_back(conv_case(width, false, false, true));
  }
  cases.push_back(attention_case());
  cases.push_back(rope_case());
  return cases;
}

/// Output and gradients by automatic differentiation of the definition in one precision.
inline std::map<std::string, at::Tensor> differentiate(const OpCase& op_case, at::ScalarType dtype,
                                                       const Tensor& d_output) {
  std::map<std::string, at::Tensor> leaves;
  for (const auto& [name, tensor] : op_case.inputs) {
    leaves[name] = to_aten(tensor).to(dtype).set_requires_grad(true);
  }
  const at::Tensor output = op_case.definition(leaves);
  (output * to_aten(d_output).to(dtype)).sum().backward();
  std::map<std::string, at::Tensor> result{{op_case.output, output.detach().to(at::kDouble)}};
  for (const std::string& name : op_case.gradients) {
    result["d_" + name] = leaves[name].grad().to(at::kDouble);
  }
  return result;
}

inline std::vector<int64_t> output_shape(const OpCase& op_case) {
  for (const char* name : {"x", "q", "gate"}) {
    if (op_case.inputs.contains(name)) return shape_of(op_case, name);
  }
  return {};
}

/// The gradients of a case as one call.
inline OpCall backward_call(const OpCase& op_case, const Tensor& d_output) {
  TensorMap inputs = op_case.inputs;
  inputs.insert(op_case.metadata.begin(), op_case.metadata.end());
  inputs["d_output"] = d_output;
  if (op_case.op == Op::kRope) inputs.erase("x");
  std::map<std::string, std::vector<int64_t>> outputs;
  for (const std::string& name : op_case.gradients) outputs["d_" + name] = shape_of(op_case, name);
  OpCall backward = make_call(op_case.op, Direction::kBackward, inputs, outputs);
  backward.attributes = op_case.attributes;
  return backward;
}

}  // namespace packproof::reference::testing
