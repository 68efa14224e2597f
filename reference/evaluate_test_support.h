#pragma once

#include "harness/core/random_stream.h"
#include "reference/evaluate.h"

#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

/// Calls for tests of `evaluate`.
namespace packproof::reference::testing {

/// Normal values by name.
inline Tensor normal(const std::string& name, std::vector<int64_t> shape, double deviation = 1.0) {
  Tensor result(DType::kF32, std::move(shape));
  const RandomStream stream(5, name);
  for (int64_t i = 0; i < result.numel(); ++i) result.set(i, deviation * stream.at(i).normal());
  return result;
}

inline OpCall make_call(Op op, Direction direction, TensorMap inputs,
                        const std::map<std::string, std::vector<int64_t>>& outputs) {
  OpCall call;
  call.op = op;
  call.direction = direction;
  call.inputs = std::move(inputs);
  for (const auto& [name, shape] : outputs) call.outputs[name] = {DType::kF32, shape, {}};
  return call;
}

inline OpResult evaluated(const OpCall& call) {
  Result<OpResult> result = evaluate(call);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? *result : OpResult{};
}

/// The sentence of a refused call.
inline std::string refusal(const OpCall& call) {
  const Result<OpResult> result = evaluate(call);
  return result.ok() ? "accepted" : result.error().message;
}

/// A packed delta rule with its gate inside, two sequences and one slack row.
inline OpCall delta_call(Direction direction) {
  TensorMap inputs{
      {"q", normal("q", {1, 6, 1, 4})},
      {"k", normal("k", {1, 6, 1, 4})},
      {"v", normal("v", {1, 6, 2, 3})},
      {"a", normal("a", {1, 6, 2})},
      {"A_log", normal("A", {2})},
      {"dt_bias", normal("t", {2})},
      {"beta", normal("beta", {1, 6, 2}, 0.1)},
      {"initial_state", normal("state", {2, 2, 4, 3})},
      {"cu_seqlens", Tensor::from_ints(DType::kI64, {3}, std::vector<int64_t>{0, 2, 5})}};
  if (direction == Direction::kForward) {
    return make_call(Op::kRecurrentGatedDeltaRule, direction, inputs,
                     {{"output", {1, 6, 2, 3}}, {"final_state", {2, 2, 4, 3}}});
  }
  inputs["d_output"] = normal("d", {1, 6, 2, 3});
  inputs["d_final_state"] = normal("ds", {2, 2, 4, 3});
  return make_call(Op::kRecurrentGatedDeltaRule, direction, inputs,
                   {{"d_q", {1, 6, 1, 4}},
                    {"d_k", {1, 6, 1, 4}},
                    {"d_v", {1, 6, 2, 3}},
                    {"d_a", {1, 6, 2}},
                    {"d_A_log", {2}},
                    {"d_dt_bias", {2}},
                    {"d_beta", {1, 6, 2}},
                    {"d_initial_state", {2, 2, 4, 3}}});
}

}  // namespace packproof::reference::testing
