// chunk_gated_delta_rule, forward: spec 3.2 with chunks of 64 tokens, in bf16 and f16.
//
// Tensors     q, k [B, T, Hk, K]; v, output [B, T, Hv, V]; g [B, T, Hv] f32, or a [B, T, Hv] with
//             A_log, dt_bias [Hv] f32; beta [B, T, Hv]; states [N, Hv, K, V] f32, or a pool of them
//             that is updated in place. Any strides, K and V up to 256 in tiles filled up by zeros.
// Kernels     chunk_schedule: which sequences have chunks of their own and which share windows.
//             chunk_prep, chunk_scan: A and P of all chunks at once, then sequence by sequence. Of
//             the scan there are two: chunk_scan_sm90 for keys that fill its tiles, else chunk_scan.
//             chunk_window: the sequences of at most 64 tokens.
//             chunk_tokens: those of one token, where the call has no states.
// Rounding    normalised q and k, A, P, and as factors the state, X, Delta and decayed Delta are
//             rounded to the storage type; sums, gates and carried states are f32.
// Bits        packed has the bits of alone: chunks and windows start with their sequence, at a
//             multiple of the depth of a matrix product. No float atomics.
// Slack       rows past cu_seqlens[N] belong to no chunk: neither read nor written.

#include "kernels/common/dispatch.cuh"
#include "kernels/common/tensor_extent.h"
#include "kernels/gated_delta_rule/chunk_kernels.h"
#include "kernels/gated_delta_rule/delta_rule_launch.cuh"
#include "kernels/gated_delta_rule/gated_delta_rule.h"

namespace packproof {
namespace {

using Args = packproof_gated_delta_rule_fwd_args;

constexpr size_t kWorkspaceAlignment = 256;

/// Pieces of 16 bytes start at every row of every head.
bool has_aligned_rows(const packproof_tensor& tensor) {
  constexpr int64_t kElements = kPieceElements;
  return reinterpret_cast<uintptr_t>(tensor.data) % kPieceBytes == 0 && tensor.stride[3] == 1 &&
         tensor.shape[3] % kElements == 0 && tensor.stride[0] % kElements == 0 &&
         tensor.stride[1] % kElements == 0 && tensor.stride[2] % kElements == 0;
}

/// chunk_scan, or chunk_scan_sm90, which takes its keys in pieces.
enum class Scan { kAny, kSm90 };

template <Scan kScan, typename T>
packproof_status launch_scan(const ChunkParams<T>& params, const ChunkGrids& grids, void* stream,
                             packproof_message* message) {
  if constexpr (kScan == Scan::kSm90) {
    return launch_chunk_scan_sm90(params, grids, stream, message);
  } else {
    return launch_chunk_scan(params, grids, stream, message);
  }
}

template <Scan kScan>
bool needs_key_copies(const Args& args) {
  return kScan == Scan::kSm90 || args.qk_l2norm != 0 || !has_aligned_rows(args.q) ||
         !has_aligned_rows(args.k);
}

SequenceLengths lengths_of(const Args& args, const void* cu_seqlens) {
  return {cu_seqlens, args.packing.cu_seqlens_dtype == PACKPROOF_I64, args.packing.num_seqs,
          args.q.shape[1],
          is_present(initial_states_of(args)) || is_present(final_states_of(args))};
}

/// Exact where the host knows the lengths; else as many as num_seqs and the rows allow.
ChunkGrids grids_of(const Args& args) {
  const packproof_packing& packing = args.packing;
  if (packing.cu_seqlens == nullptr || packing.cu_seqlens_host != nullptr) {
    const ScheduleCounts counts = count_on_host(lengths_of(args, packing.cu_seqlens_host));
    return {counts.num_long, counts.num_chunks, counts.num_windows, counts.num_token_runs};
  }
  const int64_t rows = args.q.shape[1];
  const int64_t num_long = min(packing.num_seqs, rows / (kChunkRows + 1));
  const bool has_states = lengths_of(args, nullptr).has_states;
  return {num_long, num_long == 0 ? 0 : rows / kChunkRows + num_long, packing.num_seqs,
          has_states ? 0 : packing.num_seqs};
}

int64_t keys_of_tile(int64_t head_k_dim) {
  int64_t keys = 0;
  dispatch_keys(head_k_dim, [&]<int kKeys>() {
    keys = kKeys;
    return PACKPROOF_OK;
  });
  return keys;
}

/// Hands out consecutive parts of the workspace, or adds up their sizes where there is none.
class WorkspaceParts {
 public:
  explicit WorkspaceParts(void* workspace) : base_(static_cast<unsigned char*>(workspace)) {}

  template <typename T>
  T* take(int64_t count) {
    T* part = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += static_cast<size_t>(count) * sizeof(T);
    used_ = (used_ + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
    return part;
  }

  size_t used() const { return used_; }

 private:
  unsigned char* base_;
  size_t used_ = 0;
};

template <typename T>
struct Workspace {
  Schedule schedule;
  ChunkOperators<T>* operators;
  KeyCopies<T> key_copies;
  size_t bytes;
};

template <typename T, Scan kScan>
Workspace<T> divide_workspace(const Args& args, const ChunkGrids& grids, void* workspace) {
  WorkspaceParts parts(workspace);
  Workspace<T> result{};
  result.schedule = {parts.take<ScheduleCounts>(1),
                     parts.take<LongSequence>(grids.num_long),
                     parts.take<LongSequence>(grids.num_long),
                     parts.take<ChunkOfSequence>(grids.num_chunks),
                     parts.take<Window>(grids.num_windows),
                     parts.take<TokenRun>(grids.num_token_runs)};
  result.operators = parts.take<ChunkOperators<T>>(grids.num_chunks * args.v.shape[2]);
  const int64_t keys = keys_of_tile(args.q.shape[3]);
  if (needs_key_copies<kScan>(args)) {
    result.key_copies = {parts.take<T>(2 * grids.num_chunks * args.q.shape[2] * kChunkRows * keys),
                         static_cast<int>(keys), kScan == Scan::kSm90};
  }
  result.bytes = parts.used();
  return result;
}

template <typename T, Scan kScan>
packproof_status launch_all(const Args& args, void* workspace, size_t workspace_bytes, void* stream,
                            packproof_message* message) {
  if (args.packing.num_seqs == 0) return PACKPROOF_OK;
  const ChunkGrids grids = grids_of(args);
  const Workspace<T> parts = divide_workspace<T, kScan>(args, grids, workspace);
  packproof_status status = check_chunk_gated_delta_rule_workspace(args, workspace, workspace_bytes,
                                                                   parts.bytes, kPieceBytes)
                                .report(message);
  if (status != PACKPROOF_OK) return status;
  const ChunkParams<T> params{
      .tokens = tokens_of<T, 0>(args),
      .sequences = sequence_view(args.packing, args.q.shape[1]),
      .initial_state = view_of<const float, 4>(initial_states_of(args)),
      .output = view_of<T, 4>(args.output),
      .final_state = view_of<float, 4>(final_states_of(args)),
      .state_indices = view_of<const int32_t, 1>(args.state_indices),
      .schedule = parts.schedule,
      .operators = parts.operators,
      .key_copies = parts.key_copies,
      .num_k_heads = static_cast<int>(args.q.shape[2]),
      .num_v_heads = static_cast<int>(args.v.shape[2]),
      .keys_aligned = has_aligned_rows(args.q) && has_aligned_rows(args.k),
      .values_aligned = has_aligned_rows(args.v),
      .output_aligned = has_aligned_rows(args.output),
  };
  status = launch_chunk_schedule(lengths_of(args, args.packing.cu_seqlens), params.schedule, stream,
                                 message);
  if (status == PACKPROOF_OK) status = launch_chunk_prep(params, grids, stream, message);
  if (status == PACKPROOF_OK) status = launch_scan<kScan>(params, grids, stream, message);
  if (status == PACKPROOF_OK) status = launch_chunk_window(params, grids, stream, message);
  if (status == PACKPROOF_OK) status = launch_chunk_tokens(params, grids, stream, message);
  return status;
}

template <Scan kScan>
packproof_status launch_of_dtype(const Args& args, void* workspace, size_t workspace_bytes,
                                 void* stream, packproof_message* message) {
  if (args.q.dtype == PACKPROOF_F16) {
    return launch_all<Half, kScan>(args, workspace, workspace_bytes, stream, message);
  }
  return launch_all<BFloat16, kScan>(args, workspace, workspace_bytes, stream, message);
}

}  // namespace

size_t chunk_gated_delta_rule_fwd_workspace(const void* untyped_args) {
  const auto& args = *static_cast<const Args*>(untyped_args);
  if (check_chunk_gated_delta_rule_fwd(args).status() != PACKPROOF_OK) return 0;
  return divide_workspace<Half, Scan::kAny>(args, grids_of(args), nullptr).bytes;
}

size_t chunk_gated_delta_rule_fwd_sm90_workspace(const void* untyped_args) {
  const auto& args = *static_cast<const Args*>(untyped_args);
  if (check_chunk_gated_delta_rule_fwd_sm90(args).status() != PACKPROOF_OK) return 0;
  return divide_workspace<Half, Scan::kSm90>(args, grids_of(args), nullptr).bytes;
}

packproof_status launch_chunk_gated_delta_rule_fwd(const void* untyped_args, void* workspace,
                                                   size_t workspace_bytes, void* stream,
                                                   packproof_message* message) {
  const auto& args = *static_cast<const Args*>(untyped_args);
  const packproof_status status = check_chunk_gated_delta_rule_fwd(args).report(message);
  if (status != PACKPROOF_OK) return status;
  return launch_of_dtype<Scan::kAny>(args, workspace, workspace_bytes, stream, message);
}

packproof_status launch_chunk_gated_delta_rule_fwd_sm90(const void* untyped_args, void* workspace,
                                                        size_t workspace_bytes, void* stream,
                                                        packproof_message* message) {
  const auto& args = *static_cast<const Args*>(untyped_args);
  const packproof_status status = check_chunk_gated_delta_rule_fwd_sm90(args).report(message);
  if (status != PACKPROOF_OK) return status;
  return launch_of_dtype<Scan::kSm90>(args, workspace, workspace_bytes, stream, message);
}

}  // namespace packproof
