#include "reference/evaluate.h"

#include "reference/aten_tensor.h"
#include "reference/delta_rule_test_support.h"
#include "reference/evaluate_test_support.h"
#include "reference/ops.h"

#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

using testing::delta_call;
using testing::evaluated;
using testing::make_call;
using testing::normal;

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

std::vector<int64_t> shape_of(const OpCase& op_case, const std::string& name) {
  return op_case.inputs.at(name).shape();
}

std::vector<OpCase> row_cases() {
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

OpCase conv_case(int64_t width, bool bias, bool silu, bool seq_idx) {
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

OpCase attention_case() {
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

OpCase rope_case() {
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

std::vector<OpCase> all_cases() {
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
std::map<std::string, at::Tensor> differentiate(const OpCase& op_case, at::ScalarType dtype,
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

OpResult both_directions(const OpCase& op_case, const Tensor& d_output) {
  TensorMap inputs = op_case.inputs;
  inputs.insert(op_case.metadata.begin(), op_case.metadata.end());
  OpCall forward =
      make_call(op_case.op, Direction::kForward, inputs, {{op_case.output, d_output.shape()}});
  forward.attributes = op_case.attributes;
  inputs["d_output"] = d_output;
  if (op_case.op == Op::kRope) inputs.erase("x");
  std::map<std::string, std::vector<int64_t>> outputs;
  for (const std::string& name : op_case.gradients) outputs["d_" + name] = shape_of(op_case, name);
  OpCall backward = make_call(op_case.op, Direction::kBackward, inputs, outputs);
  backward.attributes = op_case.attributes;
  OpResult result = evaluated(forward);
  const OpResult gradients = evaluated(backward);
  result.outputs.insert(gradients.outputs.begin(), gradients.outputs.end());
  result.float32_bounds.insert(gradients.float32_bounds.begin(), gradients.float32_bounds.end());
  return result;
}

std::vector<int64_t> output_shape(const OpCase& op_case) {
  for (const char* name : {"x", "q", "gate"}) {
    if (op_case.inputs.contains(name)) return shape_of(op_case, name);
  }
  return {};
}

TEST(Evaluate, AgreesWithAutomaticDifferentiationOfTheDefinition) {
  for (const OpCase& op_case : all_cases()) {
    const Tensor d_output = normal("d", output_shape(op_case));
    const OpResult got = both_directions(op_case, d_output);
    for (const auto& [name, expected] : differentiate(op_case, at::kDouble, d_output)) {
      // Both evaluate in double; a hundred roundings of 1e-16 stay below this.
      EXPECT_LT(testing::relative_distance(to_aten(got.outputs.at(name)), expected), 1e-13)
          << name_of(op_case.op) << " " << name;
    }
  }
}

TEST(Evaluate, BoundsCoverFloat32EvaluationOfTheDefinition) {
  for (const OpCase& op_case : all_cases()) {
    const Tensor d_output = normal("d", output_shape(op_case));
    const OpResult got = both_directions(op_case, d_output);
    for (const auto& [name, float32] : differentiate(op_case, at::kFloat, d_output)) {
      testing::BoundFactors factors;
      const Tensor values = from_aten(float32);
      for (int64_t i = 0; i < values.numel(); ++i) {
        factors.add(std::abs(values.at(i) - got.outputs.at(name).at(i)),
                    got.float32_bounds.at(name).at(i));
      }
      EXPECT_EQ(factors.violations(), 0) << name_of(op_case.op) << " " << name;
      EXPECT_LT(factors.median(), 1e4) << name_of(op_case.op) << " " << name;
      std::printf("bound / error, %s %s: min %.3g median %.3g\n",
                  std::string(name_of(op_case.op)).c_str(), name.c_str(), factors.smallest(),
                  factors.median());
    }
  }
}

TEST(Evaluate, GatesAgreeWithTheirDefinitionAndBounds) {
  const std::vector<int64_t> rows{50, 6};
  TensorMap inputs{{"a", normal("a", rows, 6.0)},
                   {"b", normal("b", rows, 6.0)},
                   {"A_log", normal("A", {6})},
                   {"dt_bias", normal("t", {6})}};
  const OpResult forward = evaluated(
      make_call(Op::kDeltaRuleGate, Direction::kForward, inputs, {{"g", rows}, {"beta", rows}}));
  inputs["d_g"] = normal("dg", rows);
  inputs["d_beta"] = normal("db", rows);
  const OpResult backward =
      evaluated(make_call(Op::kDeltaRuleGate, Direction::kBackward, inputs,
                          {{"d_a", rows}, {"d_b", rows}, {"d_A_log", {6}}, {"d_dt_bias", {6}}}));
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    std::map<std::string, at::Tensor> leaves;
    for (const char* name : {"a", "b", "A_log", "dt_bias"}) {
      leaves[name] = to_aten(inputs.at(name)).to(dtype).set_requires_grad(true);
    }
    const GateResult gates =
        delta_rule_gate(leaves["a"], leaves["b"], leaves["A_log"], leaves["dt_bias"]);
    ((gates.g * to_aten(inputs["d_g"]).to(dtype)).sum() +
     (gates.beta * to_aten(inputs["d_beta"]).to(dtype)).sum())
        .backward();
    std::map<std::string, at::Tensor> expected{{"g", gates.g.detach()},
                                               {"beta", gates.beta.detach()}};
    for (const auto& [name, leaf] : leaves) expected["d_" + name] = leaf.grad();
    for (const auto& [name, values] : expected) {
      const OpResult& got = name[0] == 'd' ? backward : forward;
      const Tensor other = from_aten(values);
      if (dtype == at::kDouble) {
        EXPECT_LT(testing::relative_distance(to_aten(got.outputs.at(name)), values), 1e-14) << name;
        continue;
      }
      for (int64_t i = 0; i < other.numel(); ++i) {
        EXPECT_LE(std::abs(other.at(i) - got.outputs.at(name).at(i)),
                  got.float32_bounds.at(name).at(i))
            << name << " " << i;
      }
    }
  }
}

TEST(Evaluate, DeltaRuleWithItsGateInsideAgreesWithAutomaticDifferentiation) {
  const OpCall call = delta_call(Direction::kBackward);
  const OpResult forward = evaluated(delta_call(Direction::kForward));
  const OpResult backward = evaluated(call);
  std::map<std::string, at::Tensor> leaves;
  for (const char* name : {"q", "k", "v", "a", "A_log", "dt_bias", "beta", "initial_state"}) {
    leaves[name] = to_aten(call.input(name)).set_requires_grad(true);
  }
  const std::vector<int64_t> boundaries{0, 2, 5};
  const DeltaResult expected =
      recurrent_gated_delta_rule(leaves["q"], leaves["k"], leaves["v"],
                                 log_decay(leaves["a"], leaves["A_log"], leaves["dt_bias"]),
                                 leaves["beta"], leaves["initial_state"], boundaries, 0.0, true);
  ((expected.output * to_aten(call.input("d_output"))).sum() +
   (expected.final_state * to_aten(call.input("d_final_state"))).sum())
      .backward();
  EXPECT_LT(testing::relative_distance(to_aten(forward.outputs.at("output")), expected.output),
            1e-14);
  EXPECT_LT(
      testing::relative_distance(to_aten(forward.outputs.at("final_state")), expected.final_state),
      1e-14);
  for (const auto& [name, leaf] : leaves) {
    EXPECT_LT(testing::relative_distance(to_aten(backward.outputs.at("d_" + name)), leaf.grad()),
              1e-12)
        << name;
  }
}

}  // namespace
}  // namespace packproof::reference
