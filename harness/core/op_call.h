#pragma once

#include "harness/core/dtype.h"
#include "harness/core/tensor.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace packproof {

/// Operations of the model that a candidate may provide. Names are the field's (see `name_of`).
enum class Op : uint8_t {
  kCausalConv1d,                   ///< Depthwise causal convolution over packed or dense rows.
  kCausalConv1dUpdate,             ///< One token per sequence against a pool of conv states.
  kRecurrentGatedDeltaRule,        ///< Token-by-token delta rule, prefill.
  kRecurrentGatedDeltaRuleUpdate,  ///< One token per sequence against a pool of states.
  kChunkGatedDeltaRule,            ///< Chunked delta rule.
  kGatedRmsNorm,                   ///< Norm, weight, then SiLU gate, per head row.
  kRmsNorm,                        ///< RMSNorm with (1 + weight).
  kL2Norm,
  kDeltaRuleGate,    ///< g = -exp(A_log) softplus(a + dt_bias); beta = sigmoid(b).
  kRope,             ///< Partial rotary embedding from position ids.
  kVarlenAttention,  ///< Causal softmax attention per sequence.
  kOutputGate,       ///< y = o * sigmoid(gate).
  kSwiGlu,           ///< y = silu(gate) * up.
};

enum class Direction : uint8_t { kForward, kBackward };

std::string_view name_of(Op op);
std::optional<Op> op_from_name(std::string_view name);
std::span<const Op> all_ops();
std::string_view name_of(Direction direction);  ///< "fwd", "bwd".
std::optional<Direction> direction_from_name(std::string_view name);

enum class Activation : uint8_t { kNone, kSilu };

/// Scalars of a call. Every field has the value the model uses as its default.
struct OpAttributes {
  Activation activation = Activation::kSilu;  ///< causal_conv1d only.
  double eps = 1e-6;                          ///< Norms.
  double scale = 0.0;         ///< 0 means K^-1/2 (delta rule) or d^-1/2 (attention).
  bool qk_l2norm = true;      ///< Normalise q and k inside the op (sum of squares, eps 1e-6).
  int64_t chunk_size = 64;    ///< chunk_gated_delta_rule only.
  int64_t rotary_dim = 0;     ///< rope only.
  double rope_theta = 1e4;    ///< rope only.
  int64_t max_seqlen = 0;     ///< Longest sequence; 0 when unknown.
  bool host_metadata = true;  ///< Metadata come in host memory too; else on the device alone.
};

/// How a tensor of a call follows the packing.
enum class TensorRole : uint8_t {
  kToken,     ///< Leading axes [B, T]: rows belong to tokens.
  kSequence,  ///< Leading axis [N]: one slice per sequence (states).
  kPool,      ///< Leading axis [S]: slots chosen by state_indices, updated in place.
  kShared,    ///< Weights, the same for every token.
  kMetadata,  ///< cu_seqlens, seq_idx, state_indices, position_ids.
};

/// One row of the table that describes the tensors of every op (names as in the C header).
struct TensorSchema {
  std::string_view name;
  TensorRole role;
  bool optional;
  bool output;        ///< An in-out tensor has one input row and one output row of one name.
  bool float32_only;  ///< g, A_log, dt_bias, states of the delta rule: f32 whatever the case's
                      ///< dtype.
};

/// Inputs, then outputs. Empty when the op has no such direction (backward of the updates).
std::span<const TensorSchema> schema_of(Op op, Direction direction);

/// Looks a tensor up by name; null when the op has none.
const TensorSchema* find_schema(Op op, Direction direction, std::string_view name, bool output);

struct OutputSpec {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  ///< Empty means contiguous.
};

/// One call of one op: everything a candidate or the reference needs, as values.
///
/// Packed calls have B = 1 and "cu_seqlens" and/or "seq_idx" among the inputs; dense calls have
/// neither and N = B. An in-out tensor (role kPool) stands in `inputs` and in `outputs`.
struct OpCall {
  Op op = Op::kCausalConv1d;
  Direction direction = Direction::kForward;
  OpAttributes attributes;
  TensorMap inputs;
  std::map<std::string, OutputSpec> outputs;
  std::string variant;  ///< Demanded kernel variant; empty lets the candidate choose.

  bool has(const std::string& name) const { return inputs.contains(name); }

  const Tensor& input(const std::string& name) const { return inputs.at(name); }
};

}  // namespace packproof
