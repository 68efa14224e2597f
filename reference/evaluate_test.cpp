#include "reference/evaluate.h"

#include "reference/aten_tensor.h"
#include "reference/delta_rule_test_support.h"
#include "reference/evaluate_test_support.h"
#include "reference/op_cases_test_support.h"
#include "reference/ops.h"

#include <cmath>
#include <cstdio>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

using testing::all_cases;
using testing::backward_call;
using testing::delta_call;
using testing::differentiate;
using testing::evaluated;
using testing::make_call;
using testing::normal;
using testing::OpCase;
using testing::output_shape;

OpResult both_directions(const OpCase& op_case, const Tensor& d_output) {
  TensorMap inputs = op_case.inputs;
  inputs.insert(op_case.metadata.begin(), op_case.metadata.end());
  OpCall forward =
      make_call(op_case.op, Direction::kForward, inputs, {{op_case.output, d_output.shape()}});
  forward.attributes = op_case.attributes;
  OpResult result = evaluated(forward);
  const OpResult gradients = evaluated(backward_call(op_case, d_output));
  result.outputs.insert(gradients.outputs.begin(), gradients.outputs.end());
  result.float32_bounds.insert(gradients.float32_bounds.begin(), gradients.float32_bounds.end());
  return result;
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

/// Calls without a token are calls: states pass through, and sums over tokens are zero.
TEST(Evaluate, TakesCallsWithoutTokens) {
  const Tensor empty = Tensor::from_ints(DType::kI64, {3}, std::vector<int64_t>{0, 0, 0});
  const OpResult attention = evaluated(make_call(Op::kVarlenAttention, Direction::kBackward,
                                                 {{"q", normal("q", {1, 0, 4, 8})},
                                                  {"k", normal("k", {1, 0, 2, 8})},
                                                  {"v", normal("v", {1, 0, 2, 8})},
                                                  {"d_output", normal("d", {1, 0, 4, 8})},
                                                  {"cu_seqlens", empty}},
                                                 {{"d_q", {1, 0, 4, 8}}, {"d_k", {1, 0, 2, 8}}}));
  EXPECT_EQ(attention.outputs.at("d_k").shape(), (std::vector<int64_t>{1, 0, 2, 8}));
  for (const Op op : {Op::kRecurrentGatedDeltaRule, Op::kChunkGatedDeltaRule}) {
    OpCall call = delta_call(Direction::kBackward);
    call.op = op;
    for (auto& [name, tensor] : call.inputs) {
      std::vector<int64_t> shape = tensor.shape();
      if (shape.size() < 3 || shape[1] != 6) continue;
      shape[1] = 0;
      tensor = Tensor(DType::kF32, shape);
      if (const auto output = call.outputs.find("d_" + name); output != call.outputs.end()) {
        output->second.shape = shape;
      }
    }
    call.inputs["cu_seqlens"] = empty;
    const OpResult result = evaluated(call);
    ASSERT_TRUE(result.outputs.contains("d_A_log")) << name_of(op);
    EXPECT_EQ(result.outputs.at("d_A_log").at(0), 0.0);
    EXPECT_EQ(result.outputs.at("d_initial_state").at(5), call.input("d_final_state").at(5));
  }
}

}  // namespace
}  // namespace packproof::reference
