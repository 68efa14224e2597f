#include "kernels/common/tensor_extent.h"
#include "kernels/gated_delta_rule/gated_delta_rule.h"

#include <vector>

namespace packproof {
namespace {

constexpr int64_t kMaxHeadSize = 256;
constexpr int64_t kMaxHeads = 65535;                       // the grid's second axis
constexpr int64_t kMaxSequences = int64_t{INT32_MAX} / 4;  // the first axis: at most 4 column tiles

void check_head_sizes(ArgumentCheck& check, int64_t num_k_heads, int64_t num_v_heads,
                      int64_t head_k_dim, int64_t head_v_dim, int64_t unit) {
  const auto check_size = [&](const char* name, int64_t size) {
    if (size >= unit && size <= kMaxHeadSize && size % unit == 0) return;
    check.not_supported("expected %s to be a multiple of %lld from %lld to %lld, found %lld", name,
                        static_cast<long long>(unit), static_cast<long long>(unit),
                        static_cast<long long>(kMaxHeadSize), static_cast<long long>(size));
  };
  check_size("K", head_k_dim);
  check_size("V", head_v_dim);
  if (num_k_heads < 1 || num_v_heads < 1 || num_v_heads % num_k_heads != 0) {
    check.refuse("expected Hv to be a multiple of Hk, found Hv=%lld and Hk=%lld",
                 static_cast<long long>(num_v_heads), static_cast<long long>(num_k_heads));
  }
  check.at_most("Hv", num_v_heads, kMaxHeads);
}

/// g, or a with A_log and dt_bias; never both.
template <typename Args>
void check_gate(ArgumentCheck& check, const Args& args, std::initializer_list<Axis> shape,
                Axis heads) {
  const bool has_g = is_present(args.g);
  const bool has_a = is_present(args.a) || is_present(args.A_log) || is_present(args.dt_bias);
  if (has_g == has_a) {
    return check.refuse("expected either g or a with A_log and dt_bias, found %s",
                        has_g ? "both" : "neither");
  }
  if (has_g) return check.tensor({"g", &args.g}, PACKPROOF_F32, shape);
  check.tensor({"a", &args.a}, args.q.dtype, shape);
  check.tensor({"A_log", &args.A_log}, PACKPROOF_F32, {heads});
  check.tensor({"dt_bias", &args.dt_bias}, PACKPROOF_F32, {heads});
}

template <typename Args>
std::vector<NamedTensor> inputs_of(const Args& args, NamedTensor state_in) {
  return {{"q", &args.q},
          {"k", &args.k},
          {"v", &args.v},
          {"g", &args.g},
          {"a", &args.a},
          {"A_log", &args.A_log},
          {"dt_bias", &args.dt_bias},
          {"beta", &args.beta},
          state_in};
}

template <typename Args>
void check_outputs_apart(ArgumentCheck& check, const Args& args, NamedTensor state_out,
                         NamedTensor state_in) {
  check.outputs_apart({{"output", &args.output}, state_out}, inputs_of(args, state_in));
}

/// States of sequences, or a pool of them in their place.
void check_states(ArgumentCheck& check, const packproof_gated_delta_rule_fwd_args& args,
                  Axis sequences, Axis v_heads, Axis k_dim, Axis v_dim) {
  if (!is_present(args.state)) {
    check.optional_tensor({"initial_state", &args.initial_state}, PACKPROOF_F32,
                          {sequences, v_heads, k_dim, v_dim});
    check.optional_tensor({"final_state", &args.final_state}, PACKPROOF_F32,
                          {sequences, v_heads, k_dim, v_dim});
    if (is_present(args.state_indices)) {
      check.refuse("expected state_indices beside a pool, found them without state");
    }
    return;
  }
  if (is_present(args.initial_state) || is_present(args.final_state)) {
    return check.refuse("expected either state or initial_state and final_state, found both");
  }
  check.rank({"state", &args.state}, 4, "[S, Hv, K, V]");
  if (!check.ok()) return;
  const Axis slots{"S", args.state.shape[0]};
  check.tensor({"state", &args.state}, PACKPROOF_F32, {slots, v_heads, k_dim, v_dim});
  check.state_indices(args.state_indices, args.state_indices_host, sequences.size, slots.size);
}

/// What both forward ops demand; K and V are multiples of `unit`.
void check_fwd(ArgumentCheck& check, const packproof_gated_delta_rule_fwd_args& args,
               int64_t unit) {
  check.struct_size(args.struct_size, sizeof(args));
  if (!check.ok()) return;
  check.rank({"q", &args.q}, 4, "[B, T, Hk, K]");
  check.rank({"v", &args.v}, 4, "[B, T, Hv, V]");
  check.storage_dtype({"q", &args.q});
  if (!check.ok()) return;

  const int32_t dtype = args.q.dtype;
  const Axis batches{"B", args.q.shape[0]};
  const Axis tokens{"T", args.q.shape[1]};
  const Axis k_heads{"Hk", args.q.shape[2]};
  const Axis v_heads{"Hv", args.v.shape[2]};
  const Axis k_dim{"K", args.q.shape[3]};
  const Axis v_dim{"V", args.v.shape[3]};
  const Axis sequences{"N", args.packing.num_seqs};
  check_head_sizes(check, k_heads.size, v_heads.size, k_dim.size, v_dim.size, unit);
  check.tensor({"q", &args.q}, dtype, {batches, tokens, k_heads, k_dim});
  check.tensor({"k", &args.k}, dtype, {batches, tokens, k_heads, k_dim});
  check.tensor({"v", &args.v}, dtype, {batches, tokens, v_heads, v_dim});
  check_gate(check, args, {batches, tokens, v_heads}, v_heads);
  check.tensor({"beta", &args.beta}, dtype, {batches, tokens, v_heads});
  if (args.packing.seq_idx != nullptr && args.packing.cu_seqlens == nullptr) {
    check.not_supported("expected cu_seqlens in a packed call, found seq_idx alone");
  }
  check.packing(args.packing, batches.size, tokens.size);
  check.tensor({"output", &args.output}, dtype, {batches, tokens, v_heads, v_dim});
  check_states(check, args, sequences, v_heads, k_dim, v_dim);
  check.at_most("N", sequences.size, kMaxSequences);
  if (is_present(args.state)) {
    check_outputs_apart(check, args, {"state", &args.state},
                        {"state_indices", &args.state_indices});
  } else {
    check_outputs_apart(check, args, {"final_state", &args.final_state},
                        {"initial_state", &args.initial_state});
  }
  check.apart_from_packing(
      {{"output", &args.output}, {"final_state", &args.final_state}, {"state", &args.state}},
      args.packing);
}

}  // namespace

ArgumentCheck check_recurrent_gated_delta_rule_fwd(
    const packproof_gated_delta_rule_fwd_args& args) {
  ArgumentCheck check("recurrent_gated_delta_rule");
  check_fwd(check, args, 4);
  return check;
}

ArgumentCheck check_chunk_gated_delta_rule_fwd(const packproof_gated_delta_rule_fwd_args& args) {
  ArgumentCheck check("chunk_gated_delta_rule");
  check_fwd(check, args, 1);
  if (!check.ok()) return check;
  if (args.q.dtype == PACKPROOF_F32) {
    check.not_supported("expected q in f16 or bf16, found f32");
  }
  if (args.chunk_size != 0 && args.chunk_size != 64) {
    check.not_supported("expected chunk_size of 64 or 0, found %d", args.chunk_size);
  }
  // Grids have one axis: blocks for each chunk, window or sequence and head, at most 8 slices of V.
  constexpr int64_t kMaxBlocks = int64_t{INT32_MAX} / 8;
  check.at_most("T", args.q.shape[1], 64 * kMaxBlocks);
  if (!check.ok()) return check;
  const int64_t tiles = args.q.shape[0] * (args.q.shape[1] / 64 + 1) + args.packing.num_seqs;
  check.at_most("sequences and chunks of 64 rows", tiles, kMaxBlocks);
  if (!check.ok()) return check;
  check.at_most("Hv times sequences and chunks of 64 rows", tiles * args.v.shape[2], kMaxBlocks);
  return check;
}

ArgumentCheck check_chunk_gated_delta_rule_workspace(
    const packproof_gated_delta_rule_fwd_args& args, const void* workspace, size_t found,
    size_t expected, size_t alignment) {
  ArgumentCheck check("chunk_gated_delta_rule");
  if (workspace == nullptr || found < expected ||
      reinterpret_cast<uintptr_t>(workspace) % alignment != 0) {
    check.refuse("expected a workspace of at least %zu bytes aligned to %zu, found %zu bytes at %p",
                 expected, alignment, found, workspace);
  }
  std::vector<NamedTensor> tensors = inputs_of(args, {"initial_state", &args.initial_state});
  tensors.insert(tensors.end(), {{"output", &args.output},
                                 {"final_state", &args.final_state},
                                 {"state", &args.state},
                                 {"state_indices", &args.state_indices}});
  check.apart_from_workspace(tensors, args.packing, workspace, expected);
  return check;
}

ArgumentCheck check_chunk_gated_delta_rule_fwd_sm90(
    const packproof_gated_delta_rule_fwd_args& args) {
  ArgumentCheck check = check_chunk_gated_delta_rule_fwd(args);
  if (!check.ok()) return check;
  const int64_t head_k_dim = args.q.shape[3];
  if (head_k_dim <= 32 || head_k_dim > 128) {
    check.not_supported("expected K from 33 to 128, found %lld",
                        static_cast<long long>(head_k_dim));
  }
  return check;
}

ArgumentCheck check_recurrent_gated_delta_rule_update_fwd(
    const packproof_gated_delta_rule_update_args& args) {
  ArgumentCheck check("recurrent_gated_delta_rule_update");
  check.struct_size(args.struct_size, sizeof(args));
  if (!check.ok()) return check;
  check.rank({"q", &args.q}, 3, "[N, Hk, K]");
  check.rank({"v", &args.v}, 3, "[N, Hv, V]");
  check.rank({"state", &args.state}, 4, "[S, Hv, K, V]");
  check.storage_dtype({"q", &args.q});
  if (!check.ok()) return check;

  const int32_t dtype = args.q.dtype;
  const Axis rows{"N", args.q.shape[0]};
  const Axis k_heads{"Hk", args.q.shape[1]};
  const Axis v_heads{"Hv", args.v.shape[1]};
  const Axis k_dim{"K", args.q.shape[2]};
  const Axis v_dim{"V", args.v.shape[2]};
  const Axis slots{"S", args.state.shape[0]};
  check_head_sizes(check, k_heads.size, v_heads.size, k_dim.size, v_dim.size, 4);
  check.tensor({"q", &args.q}, dtype, {rows, k_heads, k_dim});
  check.tensor({"k", &args.k}, dtype, {rows, k_heads, k_dim});
  check.tensor({"v", &args.v}, dtype, {rows, v_heads, v_dim});
  check_gate(check, args, {rows, v_heads}, v_heads);
  check.tensor({"beta", &args.beta}, dtype, {rows, v_heads});
  check.tensor({"state", &args.state}, PACKPROOF_F32, {slots, v_heads, k_dim, v_dim});
  check.state_indices(args.state_indices, args.state_indices_host, rows.size, slots.size);
  check.tensor({"output", &args.output}, dtype, {rows, v_heads, v_dim});
  check.at_most("N", rows.size, kMaxSequences);
  check_outputs_apart(check, args, {"state", &args.state}, {"state_indices", &args.state_indices});
  return check;
}

}  // namespace packproof
