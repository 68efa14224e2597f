#include "harness/judge/call_mapping.h"

#include "harness/judge/argument.h"

namespace packproof {
namespace {

/// Tensors whose rows follow the tokens have the call's [B, T].
Status check_rows(const MappedCall& mapped, Direction direction, const TensorMap& tensors) {
  for (const auto& [name, tensor] : tensors) {
    const TensorSchema* input = find_schema(mapped.op, direction, name, false);
    const TensorSchema* output = find_schema(mapped.op, direction, name, true);
    const TensorSchema* schema = input != nullptr ? input : output;
    if (schema == nullptr || schema->role != TensorRole::kToken) continue;
    if (tensor.rank() < 2 || tensor.dim(0) != mapped.batch || tensor.dim(1) != mapped.length) {
      return invalid_input("expected '" + name + "' of " + std::to_string(mapped.batch) + " x " +
                           std::to_string(mapped.length) + " rows, found shape " +
                           shape_text(tensor.shape()));
    }
  }
  return {};
}

/// Under autocast a function rounds its inputs itself.
void count_on_autocast(MappedCall& mapped) {
  const DType output = mapped.outputs["output"].dtype();
  const DType input = mapped.inputs[mapped.op == Op::kCausalConv1d ? "x" : "q"].dtype();
  if (unit_roundoff(output) > unit_roundoff(input)) {
    count_on_rounding(mapped, output,
                      "outputs are " + std::string(name_of(output)) + " where inputs are " +
                          std::string(name_of(input)) + " (autocast)");
  }
}

Result<MappedCall> map_by_op(const CapturedCall& call) {
  if (call.op == "causal_conv1d") return map_convolution(call);
  if (call.op == "varlen_attention") return map_attention(call);
  if (call.op == "chunk_gated_delta_rule") return map_delta_rule(call, Op::kChunkGatedDeltaRule);
  if (call.op == "recurrent_gated_delta_rule") {
    return map_delta_rule(call, Op::kRecurrentGatedDeltaRule);
  }
  return invalid_input("expected a convolution, a delta rule or an attention, found the op '" +
                       call.op + "'");
}

}  // namespace

Result<MappedCall> map_call(const CapturedCall& call) {
  PACKPROOF_TRY(MappedCall mapped, map_by_op(call));
  if (!mapped.outputs.contains("output")) {
    return invalid_input("it returned no tensor: it raised, or the file was cut off");
  }
  PACKPROOF_CHECK_OK(check_rows(mapped, Direction::kForward, mapped.inputs));
  PACKPROOF_CHECK_OK(check_rows(mapped, Direction::kForward, mapped.outputs));
  PACKPROOF_CHECK_OK(check_rows(mapped, Direction::kBackward, mapped.upstream));
  PACKPROOF_CHECK_OK(check_rows(mapped, Direction::kBackward, mapped.gradients));
  count_on_autocast(mapped);
  return mapped;
}

}  // namespace packproof
