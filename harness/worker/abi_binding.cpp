#include "harness/worker/abi_binding.h"

namespace packproof {

namespace {

Status check_names(const OpCall& call) {
  const std::string what =
      std::string(name_of(call.op)) + " " + std::string(name_of(call.direction));
  if (schema_of(call.op, call.direction).empty()) {
    return invalid_input("the kernel boundary has no " + what);
  }
  for (const auto& [name, tensor] : call.inputs) {
    if (find_schema(call.op, call.direction, name, false) == nullptr) {
      return invalid_input(what + " has no input '" + name + "'");
    }
  }
  for (const auto& [name, spec] : call.outputs) {
    if (find_schema(call.op, call.direction, name, true) == nullptr) {
      return invalid_input(what + " has no output '" + name + "'");
    }
  }
  return {};
}

}  // namespace

Result<ArgumentBlock> bind_arguments(const OpCall& call, const CallBuffers& buffers) {
  PACKPROOF_CHECK_OK(check_names(call));
  switch (call.op) {
    case Op::kCausalConv1d:
      return bind_causal_conv1d(call, buffers);
    case Op::kCausalConv1dUpdate:
      return bind_causal_conv1d_update(call, buffers);
    case Op::kRecurrentGatedDeltaRule:
    case Op::kChunkGatedDeltaRule:
      return bind_gated_delta_rule(call, buffers);
    case Op::kRecurrentGatedDeltaRuleUpdate:
      return bind_gated_delta_rule_update(call, buffers);
    case Op::kGatedRmsNorm:
      return bind_gated_rms_norm(call, buffers);
    case Op::kRmsNorm:
      return bind_rms_norm(call, buffers);
    case Op::kL2Norm:
      return bind_l2norm(call, buffers);
    case Op::kDeltaRuleGate:
      return bind_delta_rule_gate(call, buffers);
    case Op::kRope:
      return bind_rope(call, buffers);
    case Op::kVarlenAttention:
      return bind_varlen_attention(call, buffers);
    case Op::kOutputGate:
      return bind_output_gate(call, buffers);
    case Op::kSwiGlu:
      return bind_swiglu(call, buffers);
  }
  return internal_error("bind_arguments: an op without a binding");
}

}  // namespace packproof
