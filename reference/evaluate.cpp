#include "reference/evaluate.h"

#include <exception>

namespace packproof::reference {
namespace {

Result<OpResult> evaluate_op(const OpCallReader& reader) {
  switch (reader.call().op) {
    case Op::kCausalConv1d:
      return evaluate_causal_conv1d(reader);
    case Op::kCausalConv1dUpdate:
      return evaluate_causal_conv1d_update(reader);
    case Op::kRecurrentGatedDeltaRule:
    case Op::kChunkGatedDeltaRule:
      return evaluate_gated_delta_rule(reader);
    case Op::kRecurrentGatedDeltaRuleUpdate:
      return evaluate_gated_delta_rule_update(reader);
    case Op::kGatedRmsNorm:
    case Op::kRmsNorm:
    case Op::kL2Norm:
      return evaluate_norm(reader);
    case Op::kDeltaRuleGate:
    case Op::kOutputGate:
    case Op::kSwiGlu:
      return evaluate_gate(reader);
    case Op::kRope:
      return evaluate_rope(reader);
    case Op::kVarlenAttention:
      return evaluate_varlen_attention(reader);
  }
  return reader.refusal("expected one of the ops of the model");
}

}  // namespace

Result<OpResult> evaluate(const OpCall& call, const EvaluateOptions& options) {
  const OpCallReader reader(call, options.bounds);
  PACKPROOF_CHECK_OK(reader.check_names());
  try {
    return evaluate_op(reader);
  } catch (const std::bad_alloc&) {
    return infrastructure_error(std::string(name_of(call.op)) + ": memory ran out");
  } catch (const std::exception& error) {  // libtorch reports its own mistakes so.
    return internal_error(std::string(name_of(call.op)) + ": " + error.what());
  }
}

}  // namespace packproof::reference
