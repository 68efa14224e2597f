#include "harness/core/op_call.h"

#include <array>

namespace packproof {
namespace {

/// How a row of the tables differs from a required tensor of the case's dtype.
enum Flag : unsigned { kPlain = 0, kOptional = 1, kFloat32 = 2 };

constexpr TensorSchema in(std::string_view name, TensorRole role, unsigned flags = kPlain) {
  return {name, role, (flags & kOptional) != 0, false, (flags & kFloat32) != 0};
}

constexpr TensorSchema out(std::string_view name, TensorRole role, unsigned flags = kPlain) {
  return {name, role, (flags & kOptional) != 0, true, (flags & kFloat32) != 0};
}

constexpr TensorRole kToken = TensorRole::kToken;
constexpr TensorRole kSequence = TensorRole::kSequence;
constexpr TensorRole kPool = TensorRole::kPool;
constexpr TensorRole kShared = TensorRole::kShared;
constexpr TensorRole kMetadata = TensorRole::kMetadata;

constexpr std::array kCausalConv1dForward{
    in("x", kToken),
    in("weight", kShared),
    in("bias", kShared, kOptional),
    in("initial_state", kSequence, kOptional),
    in("cu_seqlens", kMetadata, kOptional),
    in("seq_idx", kMetadata, kOptional),
    out("output", kToken),
    out("final_state", kSequence, kOptional),
};

constexpr std::array kCausalConv1dBackward{
    in("x", kToken),
    in("weight", kShared),
    in("bias", kShared, kOptional),
    in("initial_state", kSequence, kOptional),
    in("cu_seqlens", kMetadata, kOptional),
    in("seq_idx", kMetadata, kOptional),
    in("d_output", kToken),
    in("d_final_state", kSequence, kOptional),
    out("d_x", kToken),
    out("d_weight", kShared),
    out("d_bias", kShared, kOptional),
    out("d_initial_state", kSequence, kOptional),
};

constexpr std::array kCausalConv1dUpdateForward{
    in("x", kSequence),
    in("weight", kShared),
    in("bias", kShared, kOptional),
    in("conv_state", kPool),
    in("state_indices", kMetadata, kOptional),
    out("output", kSequence),
    out("conv_state", kPool),
};

// g, or the three tensors it is made from: which of them stand is the case's `gate_in_kernel`. States
// of sequences, or a pool of them: the case's `h0`.
constexpr std::array kGatedDeltaRuleForward{
    in("q", kToken),
    in("k", kToken),
    in("v", kToken),
    in("g", kToken, kOptional | kFloat32),
    in("a", kToken, kOptional),
    in("A_log", kShared, kOptional | kFloat32),
    in("dt_bias", kShared, kOptional | kFloat32),
    in("beta", kToken),
    in("initial_state", kSequence, kOptional | kFloat32),
    in("state", kPool, kOptional | kFloat32),
    in("state_indices", kMetadata, kOptional),
    in("cu_seqlens", kMetadata, kOptional),
    out("output", kToken),
    out("final_state", kSequence, kOptional | kFloat32),
    out("state", kPool, kOptional | kFloat32),
};

constexpr std::array kGatedDeltaRuleBackward{
    in("q", kToken),
    in("k", kToken),
    in("v", kToken),
    in("g", kToken, kOptional | kFloat32),
    in("a", kToken, kOptional),
    in("A_log", kShared, kOptional | kFloat32),
    in("dt_bias", kShared, kOptional | kFloat32),
    in("beta", kToken),
    in("initial_state", kSequence, kOptional | kFloat32),
    in("cu_seqlens", kMetadata, kOptional),
    in("d_output", kToken),
    in("d_final_state", kSequence, kOptional | kFloat32),
    out("d_q", kToken),
    out("d_k", kToken),
    out("d_v", kToken),
    out("d_g", kToken, kOptional | kFloat32),
    out("d_a", kToken, kOptional),
    out("d_A_log", kShared, kOptional | kFloat32),
    out("d_dt_bias", kShared, kOptional | kFloat32),
    out("d_beta", kToken),
    out("d_initial_state", kSequence, kOptional | kFloat32),
};

constexpr std::array kGatedDeltaRuleUpdateForward{
    in("q", kSequence),
    in("k", kSequence),
    in("v", kSequence),
    in("g", kSequence, kOptional | kFloat32),
    in("a", kSequence, kOptional),
    in("A_log", kShared, kOptional | kFloat32),
    in("dt_bias", kShared, kOptional | kFloat32),
    in("beta", kSequence),
    in("state", kPool, kFloat32),
    in("state_indices", kMetadata, kOptional),
    out("output", kSequence),
    out("state", kPool, kFloat32),
};

constexpr std::array kGatedRmsNormForward{in("x", kToken), in("z", kToken), in("weight", kShared),
                                          out("output", kToken)};
constexpr std::array kGatedRmsNormBackward{
    in("x", kToken),    in("z", kToken),    in("weight", kShared),   in("d_output", kToken),
    out("d_x", kToken), out("d_z", kToken), out("d_weight", kShared)};

constexpr std::array kRmsNormForward{in("x", kToken), in("weight", kShared), out("output", kToken)};
constexpr std::array kRmsNormBackward{in("x", kToken), in("weight", kShared),
                                      in("d_output", kToken), out("d_x", kToken),
                                      out("d_weight", kShared)};

constexpr std::array kL2NormForward{in("x", kToken), out("output", kToken)};
constexpr std::array kL2NormBackward{in("x", kToken), in("d_output", kToken), out("d_x", kToken)};

constexpr std::array kDeltaRuleGateForward{
    in("a", kToken),
    in("b", kToken),
    in("A_log", kShared, kFloat32),
    in("dt_bias", kShared, kFloat32),
    out("g", kToken, kFloat32),
    out("beta", kToken),
};

constexpr std::array kDeltaRuleGateBackward{
    in("a", kToken),
    in("b", kToken),
    in("A_log", kShared, kFloat32),
    in("dt_bias", kShared, kFloat32),
    in("d_g", kToken, kFloat32),
    in("d_beta", kToken),
    out("d_a", kToken),
    out("d_b", kToken),
    out("d_A_log", kShared, kFloat32),
    out("d_dt_bias", kShared, kFloat32),
};

constexpr std::array kRopeForward{in("x", kToken), in("position_ids", kMetadata),
                                  out("output", kToken)};
constexpr std::array kRopeBackward{in("position_ids", kMetadata), in("d_output", kToken),
                                   out("d_x", kToken)};

constexpr std::array kVarlenAttentionForward{
    in("q", kToken),       in("k", kToken),
    in("v", kToken),       in("cu_seqlens", kMetadata, kOptional),
    out("output", kToken), out("lse", kToken, kOptional | kFloat32),
};

constexpr std::array kVarlenAttentionBackward{
    in("q", kToken),
    in("k", kToken),
    in("v", kToken),
    in("cu_seqlens", kMetadata, kOptional),
    in("output", kToken, kOptional),
    in("lse", kToken, kOptional | kFloat32),
    in("d_output", kToken),
    out("d_q", kToken),
    out("d_k", kToken),
    out("d_v", kToken),
};

constexpr std::array kOutputGateForward{in("x", kToken), in("gate", kToken), out("output", kToken)};
constexpr std::array kOutputGateBackward{in("x", kToken), in("gate", kToken),
                                         in("d_output", kToken), out("d_x", kToken),
                                         out("d_gate", kToken)};

constexpr std::array kSwiGluForward{in("gate", kToken), in("up", kToken), out("output", kToken)};
constexpr std::array kSwiGluBackward{in("gate", kToken), in("up", kToken), in("d_output", kToken),
                                     out("d_gate", kToken), out("d_up", kToken)};

}  // namespace

std::span<const TensorSchema> schema_of(Op op, Direction direction) {
  const bool forward = direction == Direction::kForward;
  using Rows = std::span<const TensorSchema>;
  switch (op) {
    case Op::kCausalConv1d:
      return forward ? Rows(kCausalConv1dForward) : Rows(kCausalConv1dBackward);
    case Op::kCausalConv1dUpdate:
      return forward ? Rows(kCausalConv1dUpdateForward) : Rows();
    case Op::kRecurrentGatedDeltaRule:
    case Op::kChunkGatedDeltaRule:
      return forward ? Rows(kGatedDeltaRuleForward) : Rows(kGatedDeltaRuleBackward);
    case Op::kRecurrentGatedDeltaRuleUpdate:
      return forward ? Rows(kGatedDeltaRuleUpdateForward) : Rows();
    case Op::kGatedRmsNorm:
      return forward ? Rows(kGatedRmsNormForward) : Rows(kGatedRmsNormBackward);
    case Op::kRmsNorm:
      return forward ? Rows(kRmsNormForward) : Rows(kRmsNormBackward);
    case Op::kL2Norm:
      return forward ? Rows(kL2NormForward) : Rows(kL2NormBackward);
    case Op::kDeltaRuleGate:
      return forward ? Rows(kDeltaRuleGateForward) : Rows(kDeltaRuleGateBackward);
    case Op::kRope:
      return forward ? Rows(kRopeForward) : Rows(kRopeBackward);
    case Op::kVarlenAttention:
      return forward ? Rows(kVarlenAttentionForward) : Rows(kVarlenAttentionBackward);
    case Op::kOutputGate:
      return forward ? Rows(kOutputGateForward) : Rows(kOutputGateBackward);
    case Op::kSwiGlu:
      return forward ? Rows(kSwiGluForward) : Rows(kSwiGluBackward);
  }
  return {};
}

}  // namespace packproof
