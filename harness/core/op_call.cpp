#include "harness/core/op_call.h"

#include <array>

namespace packproof {
namespace {

constexpr std::array kOps{Op::kCausalConv1d,
                          Op::kCausalConv1dUpdate,
                          Op::kRecurrentGatedDeltaRule,
                          Op::kRecurrentGatedDeltaRuleUpdate,
                          Op::kChunkGatedDeltaRule,
                          Op::kGatedRmsNorm,
                          Op::kRmsNorm,
                          Op::kL2Norm,
                          Op::kDeltaRuleGate,
                          Op::kRope,
                          Op::kVarlenAttention,
                          Op::kOutputGate,
                          Op::kSwiGlu};

constexpr std::array<std::string_view, kOps.size()> kOpNames{"causal_conv1d",
                                                             "causal_conv1d_update",
                                                             "recurrent_gated_delta_rule",
                                                             "recurrent_gated_delta_rule_update",
                                                             "chunk_gated_delta_rule",
                                                             "gated_rms_norm",
                                                             "rms_norm",
                                                             "l2norm",
                                                             "delta_rule_gate",
                                                             "rope",
                                                             "varlen_attention",
                                                             "output_gate",
                                                             "swiglu"};

}  // namespace

std::string_view name_of(Op op) { return kOpNames[static_cast<std::size_t>(op)]; }

std::optional<Op> op_from_name(std::string_view name) {
  for (const Op op : kOps) {
    if (name_of(op) == name) return op;
  }
  return std::nullopt;
}

std::span<const Op> all_ops() { return kOps; }

std::string_view name_of(Direction direction) {
  return direction == Direction::kForward ? "fwd" : "bwd";
}

std::optional<Direction> direction_from_name(std::string_view name) {
  if (name == "fwd") return Direction::kForward;
  if (name == "bwd") return Direction::kBackward;
  return std::nullopt;
}

const TensorSchema* find_schema(Op op, Direction direction, std::string_view name, bool output) {
  for (const TensorSchema& row : schema_of(op, direction)) {
    if (row.name == name && row.output == output) return &row;
  }
  return nullptr;
}

}  // namespace packproof
