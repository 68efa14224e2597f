#include "harness/run/stack_gradients.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace packproof {
namespace {

constexpr const char* kHead = "lm_head.weight";
constexpr const char* kLate = "model.layers.1.mlp.down_proj.weight";
constexpr const char* kDecay = "model.layers.1.linear_attn.A_log";
constexpr const char* kEarly = "model.layers.0.mlp.down_proj.weight";
constexpr const char* kTable = "model.embed_tokens.weight";

Tensor of(std::vector<int64_t> shape, double value) {
  Tensor tensor(DType::kF64, std::move(shape));
  for (int64_t i = 0; i < tensor.numel(); ++i) tensor.set(i, value + static_cast<double>(i));
  return tensor;
}

/// Five parameters, three tokens in sequences of one and two.
class StackGradients : public testing::Test {
 protected:
  StackGradients() {
    reference::Model::LossResult loss;
    for (const char* name : {kHead, kLate, kDecay, kEarly, kTable}) {
      loss.gradients[name] = of({2, 2}, 1.0);
      limits_.gradients[name] = 1e-6;
      outputs_["grad." + std::string(name)] = loss.gradients[name].to(DType::kF32);
    }
    loss.grad_inputs_embeds = of({1, 3, 2}, 1.0);
    limits_.grad_inputs_embeds = 1e-6;
    outputs_["grad_inputs_embeds"] = of({3, 2}, 1.0).to(DType::kF32);
    truth_.packed = std::move(loss);
  }

  Tensor& output(const std::string& name) { return outputs_.at("grad." + name); }

  CheckResult judge(bool tied = false) const {
    return judge_gradients(outputs_, truth_, limits_, Packing::from_lengths({1, 2}).value(), tied);
  }

  TensorMap outputs_;
  StackTruth truth_;
  StackLimits limits_;
};

TEST_F(StackGradients, OrderIsThatOfTheBackwardPass) {
  EXPECT_EQ(backward_order(truth_.packed->gradients),
            (std::vector<std::string>{kHead, kLate, kDecay, kEarly, kTable}));
}

TEST_F(StackGradients, RightOnesPass) {
  const CheckResult result = judge();
  EXPECT_EQ(result.outcome, OutcomeKind::kPass) << result.detail;
  EXPECT_EQ(result.budget_used, 0.0);
}

TEST_F(StackGradients, FirstWrongParameterIsNamed) {
  for (const char* name : {kDecay, kEarly, kTable}) output(name).set(1, 2.1);
  const CheckResult result = judge();
  EXPECT_EQ(result.outcome, OutcomeKind::kFail);
  EXPECT_EQ(result.detail.rfind("the gradient of model.layers.1.linear_attn.A_log is the first", 0),
            0u)
      << result.detail;
}

TEST_F(StackGradients, NanIsADifference) {
  output(kLate).set(3, std::numeric_limits<double>::quiet_NaN());
  const CheckResult result = judge();
  EXPECT_EQ(result.outcome, OutcomeKind::kFail);
  EXPECT_NE(result.detail.find(kLate), std::string::npos) << result.detail;
  EXPECT_TRUE(std::isinf(result.budget_used));
}

TEST_F(StackGradients, EmbeddedInputsNameTheToken) {
  outputs_.at("grad_inputs_embeds").set(4, 5.1);
  const CheckResult result = judge();
  EXPECT_EQ(result.outcome, OutcomeKind::kFail);
  EXPECT_NE(result.detail.find("inputs_embeds at sequence 1, token 1"), std::string::npos)
      << result.detail;
}

TEST_F(StackGradients, MissingOneFailsAndNoneAtAllIsNotRun) {
  outputs_.erase("grad." + std::string(kEarly));
  const CheckResult missing = judge();
  EXPECT_EQ(missing.outcome, OutcomeKind::kFail);
  EXPECT_EQ(missing.detail,
            "expected an output 'grad.model.layers.0.mlp.down_proj.weight' of shape [2, 2], found "
            "none");
  outputs_.clear();
  EXPECT_EQ(judge().outcome, OutcomeKind::kNotRun);
}

TEST_F(StackGradients, WithoutScoredTokensThereAreNone) {
  truth_.packed.reset();
  EXPECT_EQ(judge().outcome, OutcomeKind::kNotRun);
}

TEST_F(StackGradients, TiedHeadIsPartOfTheTable) {
  outputs_.erase("grad." + std::string(kHead));
  EXPECT_EQ(judge(true).outcome, OutcomeKind::kPass) << judge(true).detail;
  EXPECT_EQ(judge(false).outcome, OutcomeKind::kFail);
}

}  // namespace
}  // namespace packproof
