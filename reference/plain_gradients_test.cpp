#include "harness/worker/call_runner.h"
#include "harness/worker/host_device.h"
#include "harness/worker/kernel_library.h"
#include "reference/op_cases_test_support.h"

#include <gtest/gtest.h>

/// The plain library's gradients against both derivations: those of the definition by automatic
/// differentiation, and the derived formulas of `evaluate`.
namespace packproof::reference {
namespace {

using testing::all_cases;
using testing::backward_call;
using testing::delta_call;
using testing::differentiate;
using testing::evaluated;
using testing::make_call;
using testing::normal;

class PlainGradients : public ::testing::Test {
 protected:
  TensorMap plain(const OpCall& call) {
    Result<KernelLibrary> library =
        KernelLibrary::load(std::string(PACKPROOF_BINARY_DIR) + "/bin/packproof_plain.so");
    EXPECT_TRUE(library.ok());
    if (!library.ok()) return {};
    HostDevice device;
    CallRequest request;
    request.call = call;
    request.options.poison = std::byte{0};  // rows that nobody owns count as zero
    const CallResult result = run_call(*library, device, request);
    EXPECT_EQ(result.status, CallStatus::kOk) << result.message;
    return result.outputs;
  }

  /// `expected` comes from the definition by automatic differentiation.
  void expect_both(const OpCall& call, const std::map<std::string, at::Tensor>& expected) {
    const TensorMap got = plain(call);
    const OpResult derived = evaluated(call);
    for (const auto& [name, spec] : call.outputs) {
      ASSERT_TRUE(got.contains(name) && expected.contains(name)) << name;
      const Tensor differentiated = from_aten(expected.at(name).to(at::kDouble));
      for (const Tensor* truth : {&differentiated, &derived.outputs.at(name)}) {
        for (int64_t i = 0; i < truth->numel(); ++i) {
          // The budget of a float32 output: its bound, and its own rounding.
          const double bound = derived.float32_bounds.at(name).at(i);
          const double allowed = bound * (1.0 + 0x1p-24) + 0x1p-24 * std::abs(truth->at(i));
          EXPECT_LE(std::abs(got.at(name).at(i) - truth->at(i)), allowed)
              << name_of(call.op) << " " << name << " element " << i << ", "
              << (truth == &differentiated ? "automatic" : "derived");
        }
      }
    }
  }
};

TEST_F(PlainGradients, OfEveryOpAgreeWithBothDerivations) {
  for (const testing::OpCase& op_case : all_cases()) {
    const Tensor d_output = normal("d", testing::output_shape(op_case));
    expect_both(backward_call(op_case, d_output), differentiate(op_case, at::kDouble, d_output));
  }
}

TEST_F(PlainGradients, OfTheGatesAgreeWithBothDerivations) {
  const std::vector<int64_t> rows{50, 6};
  const TensorMap inputs{{"a", normal("a", rows, 6.0)}, {"b", normal("b", rows, 6.0)},
                         {"A_log", normal("A", {6})},   {"dt_bias", normal("t", {6})},
                         {"d_g", normal("dg", rows)},   {"d_beta", normal("db", rows)}};
  std::map<std::string, at::Tensor> leaves, expected;
  for (const char* name : {"a", "b", "A_log", "dt_bias"}) {
    leaves[name] = to_aten(inputs.at(name)).set_requires_grad(true);
  }
  const GateResult gates =
      delta_rule_gate(leaves["a"], leaves["b"], leaves["A_log"], leaves["dt_bias"]);
  ((gates.g * to_aten(inputs.at("d_g"))).sum() + (gates.beta * to_aten(inputs.at("d_beta"))).sum())
      .backward();
  for (const auto& [name, leaf] : leaves) expected["d_" + name] = leaf.grad();
  expect_both(make_call(Op::kDeltaRuleGate, Direction::kBackward, inputs,
                        {{"d_a", rows}, {"d_b", rows}, {"d_A_log", {6}}, {"d_dt_bias", {6}}}),
              expected);
}

/// Driven by output and final state, with grouped heads, l2norm and the gate inside, by both ops.
TEST_F(PlainGradients, OfTheDeltaRuleAgreeWithBothDerivations) {
  for (const Op op : {Op::kRecurrentGatedDeltaRule, Op::kChunkGatedDeltaRule}) {
    OpCall call = delta_call(Direction::kBackward);
    call.op = op;
    std::map<std::string, at::Tensor> leaves, expected;
    for (const char* name : {"q", "k", "v", "a", "A_log", "dt_bias", "beta", "initial_state"}) {
      leaves[name] = to_aten(call.input(name)).set_requires_grad(true);
    }
    const std::vector<int64_t> boundaries{0, 2, 5};
    const DeltaResult result =
        recurrent_gated_delta_rule(leaves["q"], leaves["k"], leaves["v"],
                                   log_decay(leaves["a"], leaves["A_log"], leaves["dt_bias"]),
                                   leaves["beta"], leaves["initial_state"], boundaries, 0.0, true);
    ((result.output * to_aten(call.input("d_output"))).sum() +
     (result.final_state * to_aten(call.input("d_final_state"))).sum())
        .backward();
    for (const auto& [name, leaf] : leaves) expected["d_" + name] = leaf.grad();
    expect_both(call, expected);
  }
}

/// Driven by output and final state; one sequence is shorter than the window, one is empty.
TEST_F(PlainGradients, OfTheConvolutionsStatesAgreeWithBothDerivations) {
  const std::vector<int64_t> boundaries{0, 5, 5, 6, 12};
  TensorMap inputs{{"x", normal("x", {1, 13, 6})},
                   {"weight", normal("w", {6, 4})},
                   {"bias", normal("bias", {6})},
                   {"initial_state", normal("state", {4, 6, 3})}};
  std::map<std::string, at::Tensor> leaves, expected;
  std::map<std::string, std::vector<int64_t>> outputs;
  for (const auto& [name, tensor] : inputs) {
    leaves[name] = to_aten(tensor).set_requires_grad(true);
    outputs["d_" + name] = tensor.shape();
  }
  inputs["d_output"] = normal("d", {1, 13, 6});
  inputs["d_final_state"] = normal("ds", {4, 6, 3});
  inputs["cu_seqlens"] = Tensor::from_ints(DType::kI32, {5}, boundaries);
  const ConvResult result = causal_conv1d(leaves["x"], leaves["weight"], leaves["bias"],
                                          leaves["initial_state"], boundaries, true);
  ((result.output * to_aten(inputs["d_output"])).sum() +
   (result.final_state * to_aten(inputs["d_final_state"])).sum())
      .backward();
  for (const auto& [name, leaf] : leaves) expected["d_" + name] = leaf.grad();
  expect_both(make_call(Op::kCausalConv1d, Direction::kBackward, inputs, outputs), expected);
}

}  // namespace
}  // namespace packproof::reference
