#include "harness/run/budget.h"

#include "harness/oracle/compare.h"
#include "harness/oracle/emulated_budget.h"

#include <algorithm>

namespace packproof {
namespace {

/// Heads in a row of an output: [B, T, H, ..] and [N, H, ..]; gradients shared by all tokens have none.
int64_t heads_of(const OpCall& call, const std::string& name, const Tensor& output) {
  const TensorSchema* schema = find_schema(call.op, call.direction, name, true);
  if (schema->role == TensorRole::kToken && output.rank() >= 3) return output.dim(2);
  const bool states = schema->role == TensorRole::kSequence || schema->role == TensorRole::kPool;
  if (states && output.rank() >= 2) return output.dim(1);
  return 1;
}

/// Gradients of the decay: in them terms of order one cancel, factor roundings included, so that the
/// float32 sums are what is left (harness/oracle/README.md, section 7).
bool is_decay_gradient(const std::string& name) {
  return name == "d_g" || name == "d_a" || name == "d_A_log" || name == "d_dt_bias";
}

/// Below so many keys the roundings of a token's factors are too few to average out, and one emulated
/// run says little of another's error: there the bound of the rounding itself decides.
constexpr int64_t kAveragingKeys = 8;

bool averages_out(const OpCall& call) {
  const Tensor& keys = call.input("k");
  return keys.dim(keys.rank() - 1) >= kAveragingKeys;
}

void add_to(Tensor& budget, const Tensor& bound) {
  for (int64_t i = 0; i < budget.numel(); ++i) budget.set(i, budget.at(i) + bound.at(i));
}

Tensor scaled(const Tensor& bound, double factor) {
  if (factor == 1.0) return bound;
  Tensor result(DType::kF64, bound.shape());
  for (int64_t i = 0; i < bound.numel(); ++i) result.set(i, bound.at(i) * factor);
  return result;
}

}  // namespace

std::optional<reference::EmulatedPrecision> factors_of(const OpCall& call) {
  if (call.op != Op::kChunkGatedDeltaRule) return std::nullopt;
  switch (call.input("q").dtype()) {
    case DType::kBF16:
      return reference::EmulatedPrecision::kBFloat16;
    case DType::kF16:
      return reference::EmulatedPrecision::kFloat16;
    default:
      return std::nullopt;
  }
}

Result<TensorMap> error_budgets(const OpCall& call, const reference::OpResult& expected,
                                const std::map<std::string, RowMap>& rows,
                                const reference::Reference& reference, double unit_roundoff) {
  TensorMap emulated;
  const auto factors = factors_of(call);
  const bool by_emulation = factors.has_value() && averages_out(call);
  if (by_emulation) {
    PACKPROOF_TRY(emulated, reference.emulate(call, *factors));
  } else if (factors.has_value()) {
    unit_roundoff = std::max(unit_roundoff, packproof::unit_roundoff(call.input("q").dtype()));
  }
  TensorMap budgets;
  for (const auto& [name, spec] : call.outputs) {
    const auto value = expected.outputs.find(name);
    const auto bound = expected.float32_bounds.find(name);
    if (value == expected.outputs.end() || bound == expected.float32_bounds.end()) {
      return internal_error("the reference gave no value or bound for output '" + name + "' of " +
                            std::string(name_of(call.op)));
    }
    budgets[name] =
        by_emulation
            ? emulated_allowance(value->second, emulated.at(name), call.input("q").dtype(),
                                 spec.dtype, rows.at(name), heads_of(call, name, value->second))
            : allowance(value->second, scaled(bound->second, unit_roundoff / kFloat32Roundoff),
                        spec.dtype);
    if (by_emulation && is_decay_gradient(name)) add_to(budgets[name], bound->second);
  }
  return budgets;
}

}  // namespace packproof
