#pragma once

#include "harness/core/op_call.h"
#include "harness/core/packing.h"
#include "harness/core/result.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace packproof {

/// Log decays of the delta rule. Default initialisation hides leaks, so the regime is an axis.
enum class GateRegime : uint8_t {
  kDefaultInit,  ///< A uniform on (0.01, 16), dt_bias 1: almost no memory.
  kSlow,         ///< g in [-0.05, 0].
  kMixedZeros,   ///< g = 0 for three tokens in ten, else [-0.2, 0].
  kAllZero,      ///< g = 0 everywhere.
  kStrong,       ///< g in [-30, -5].
  kSpike,        ///< Slow, with one token of -100 in every sequence.
};

enum class BatchLayout : uint8_t {
  kPacked,       ///< One row, boundaries by metadata.
  kPaddedLeft,   ///< [N, L], zero rows before each sequence.
  kPaddedRight,  ///< [N, L], zero rows after each sequence.
};

/// Which boundaries a packed call receives.
enum class Metadata : uint8_t { kCuSeqlens, kSeqIdx, kBoth };

/// Where the states of sequences begin.
enum class StateInit : uint8_t {
  kNone,
  kZero,
  kRandom,
  kPool,  ///< Random ones in a pool, chosen by state_indices and replaced there (delta rule, forward).
};

/// Memory layout of the token tensors.
enum class StrideKind : uint8_t {
  kContiguous,
  kFused,      ///< Rows are slices of a wider fused projection (pitch larger than the row).
  kUnaligned,  ///< Pitch of an odd number of elements, so rows lose 16-byte alignment.
};

/// A case is a value: one op on one packing with one recipe of data. Everything a run needs can
/// be rebuilt from it, and `case_text.h` prints and parses it as one line.
struct CaseSpec {
  Op op = Op::kCausalConv1d;
  Direction direction = Direction::kForward;
  DType dtype = DType::kF32;
  std::vector<int64_t> lens{1};  ///< Update ops: 1, or 0 for a sequence that skips its step.
  int64_t slack = 0;             ///< Rows after the last sequence; update ops: unused pool slots.
  BatchLayout layout = BatchLayout::kPacked;
  int64_t pad = 0;  ///< Extra padding columns beyond the longest sequence (padded layouts).
  Metadata metadata = Metadata::kCuSeqlens;
  DType cu_dtype = DType::kI32;
  bool host_metadata = true;  ///< Metadata come in host memory too; else on the device alone.

  int64_t channels = 16;   ///< causal_conv1d, causal_conv1d_update.
  int64_t conv_width = 4;  ///< W.
  bool bias = false;
  Activation activation = Activation::kSilu;

  int64_t num_k_heads = 1;  ///< Hk.
  int64_t num_v_heads = 2;  ///< Hv; query heads of attention; rows per token of row-wise ops.
  int64_t head_k_dim = 16;  ///< K; head size of attention and rope.
  int64_t head_v_dim = 16;  ///< V; row length of row-wise ops (norms, output_gate, swiglu).
  GateRegime gate = GateRegime::kSlow;
  bool gate_in_kernel = false;  ///< g from a, A_log, dt_bias instead of given.
  bool qk_l2norm = true;
  double scale = 0.0;       ///< Delta rules and attention; 0: K^-1/2.
  double eps = 1e-6;        ///< Norms.
  double rope_theta = 1e4;  ///< rope.

  StateInit initial_state = StateInit::kNone;
  bool final_state = true;
  StrideKind stride = StrideKind::kContiguous;
  std::string variant;
  uint64_t seed = 0;

  bool operator==(const CaseSpec&) const = default;
};

/// Limits of a case, so that a mistyped number does not eat the machine.
inline constexpr int64_t kMaxCaseTokens = int64_t{1} << 26;
inline constexpr int64_t kMaxCaseElements = int64_t{1} << 33;  ///< Of its largest tensor.

/// Chunk size of every case: the model's (spec 3.2).
inline constexpr int64_t kCaseChunkSize = 64;

std::string_view name_of(GateRegime gate);
std::span<const GateRegime> all_gate_regimes();
std::string_view name_of(BatchLayout layout);
std::string_view name_of(Metadata metadata);
std::string_view name_of(StateInit init);
std::string_view name_of(StrideKind stride);

/// True for ops whose result depends on gates (the gate axis applies).
bool has_gates(Op op);

/// One token per sequence against a pool of states.
bool is_update(Op op);

/// True for ops whose rows know their sequence: packed, padded, with slack and metadata.
bool is_packed_op(Op op);

/// True for ops and directions that may find the states of whole sequences in a pool.
bool takes_state_pool(Op op, Direction direction);

/// Refuses values that no op accepts (negative lengths, Hv not a multiple of Hk, ...) and fields
/// that the op does not use but that differ from their default. The sentence names the field as
/// in case lines, with the value found and the values accepted.
Status validate(const CaseSpec& spec);

/// The packing of a valid spec.
Packing packing_of(const CaseSpec& spec);
LayoutClass layout_class_of(const CaseSpec& spec);

}  // namespace packproof
