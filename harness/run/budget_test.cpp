#include "harness/run/budget.h"

#include "harness/run/toy_reference.h"

#include <gtest/gtest.h>

namespace packproof {
namespace {

constexpr double kBound = 1e-6;

/// Emulated kernels err nowhere.
class ExactEmulation : public toy::Reference {
 public:
  Result<TensorMap> emulate(const OpCall& call, reference::EmulatedPrecision) const override {
    TensorMap outputs;
    for (const auto& [name, spec] : call.outputs) outputs[name] = Tensor(DType::kF64, spec.shape);
    return outputs;
  }
};

/// Budgets of a backward call of one token with `num_keys` keys whose values are all zero.
Result<TensorMap> budgets_of(int64_t num_keys) {
  OpCall call;
  call.op = Op::kChunkGatedDeltaRule;
  call.direction = Direction::kBackward;
  call.inputs["q"] = call.inputs["k"] = Tensor(DType::kF16, {1, 1, 1, num_keys});
  call.outputs["d_q"] = {DType::kF16, {1, 1, 1, num_keys}, {}};
  call.outputs["d_g"] = {DType::kF32, {1, 1, 1}, {}};
  reference::OpResult expected;
  std::map<std::string, RowMap> rows;
  for (const auto& [name, spec] : call.outputs) {
    expected.outputs[name] = Tensor(DType::kF64, spec.shape);
    expected.float32_bounds[name] = Tensor(DType::kF64, spec.shape);
    expected.float32_bounds[name].set(0, kBound);
    rows[name] = {{RowKind::kToken, 0, 0, Region::kHead}};
  }
  return error_budgets(call, expected, rows, ExactEmulation());
}

// The gradient of g at a first token: q.dq - k.dk, terms of order one that cancel whatever their
// factors' roundings. Only float32 sums are left of them.
TEST(ErrorBudgets, DecayGradientsKeepTheirFloat32Sums) {
  const auto budgets = budgets_of(8);
  ASSERT_TRUE(budgets.ok()) << budgets.error().message;
  EXPECT_NEAR(budgets->at("d_g").at(0), kBound, 1e-3 * kBound);
  // Of products with 16-bit factors float32 sums are 2^-13.
  EXPECT_LT(budgets->at("d_q").at(0), kBound);
}

TEST(ErrorBudgets, FewKeysAreJudgedByTheRoundingOfTheirFactors) {
  const auto budgets = budgets_of(7);
  ASSERT_TRUE(budgets.ok()) << budgets.error().message;
  EXPECT_GE(budgets->at("d_q").at(0), kBound * 0x1p-11 / kFloat32Roundoff);
}

}  // namespace
}  // namespace packproof
