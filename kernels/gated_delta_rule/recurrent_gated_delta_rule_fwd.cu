// recurrent_gated_delta_rule, forward: spec 3.1, token by token, per sequence and value head:
//
//   S~_t = exp(g_t) S_{t-1}          rho_t = S~_t^T k_t          delta_t = beta_t (v_t - rho_t)
//   S_t  = S~_t + k_t delta_t^T      o_t   = scale S_t^T q_t
//
// Tensors     q, k [B, T, Hk, K]; v, output [B, T, Hv, V]; g [B, T, Hv] f32, or a [B, T, Hv] with
//             A_log, dt_bias [Hv] f32; beta [B, T, Hv]; states [N, Hv, K, V] f32, or a pool of
//             them that is updated in place. Any strides. q, k, v, a, beta and output share one of
//             f32, f16, bf16; all arithmetic is f32.
// Mapping     grid (N * column tiles, Hv); a block owns up to 128 / L columns of one head's state,
//             L = 1 thread a column for K <= 128 and L = 2 beyond. A column of S never meets another
//             one, so a thread keeps its K (or K / 2) values in registers and nothing is reduced
//             over threads, but for one addition of two neighbours where L = 2.
// Shared      one TokenTile: normalised q and k, exp(g) and beta of the next 32, 16 or 8 tokens;
//             at most 17,664 bytes.
// Empty       a sequence without tokens copies its initial state (or zeros) to its final state.
// Slack       rows past cu_seqlens[N] belong to no block: neither read nor written.
// Bits        fixed order of every sum, no atomics. A sequence's output and final state depend on
//             its own rows and initial state only: not on neighbours, position, tile of tokens, or
//             on left padding by rows with k = v = 0 (the state stays exactly 0). Cutting a
//             sequence and carrying its state gives the same bits, as does decoding by
//             recurrent_gated_delta_rule_update_fwd.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/sequence.cuh"
#include "kernels/gated_delta_rule/delta_rule_column.cuh"
#include "kernels/gated_delta_rule/delta_rule_launch.cuh"
#include "kernels/gated_delta_rule/gated_delta_rule.h"
#include "kernels/gated_delta_rule/token_tile.cuh"

namespace packproof {
namespace {

template <typename T>
struct RecurrentParams {
  DeltaRuleTokens<T> tokens;
  SequenceView sequences;
  StridedView<const float, 4> initial_state;
  StridedView<T, 4> output;
  StridedView<float, 4> final_state;
  StridedView<const int32_t, 1> state_indices;
  int num_column_tiles;
};

// Fewer barriers for small heads; the bits do not depend on it.
template <typename Config>
using RecurrentTile =
    TokenTile<Config::kKeySize, Config::kKeySize <= 64 ? 32 : 2048 / Config::kKeySize>;

template <typename T, typename Config>
__global__ void __launch_bounds__(Config::kMaxThreads)
    recurrent_gated_delta_rule_fwd(RecurrentParams<T> params) {
  using Tile = RecurrentTile<Config>;
  Tile& tile = block_shared<Tile>();
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const int64_t sequence = blockIdx.x / params.num_column_tiles;
  const int column_tile = static_cast<int>(blockIdx.x % params.num_column_tiles);
  const int head = static_cast<int>(blockIdx.y);
  const int thread = static_cast<int>(threadIdx.x);
  const int columns_per_block = static_cast<int>(blockDim.x) / Config::kLanesPerColumn;
  const int column = column_tile * columns_per_block + thread / Config::kLanesPerColumn;
  // Threads past the last column compute on zeros, so that whole warps reach every meeting.
  const bool owns_column = column < tokens.head_v_dim;
  const bool writes_output = owns_column && thread % Config::kLanesPerColumn == 0;

  // S_0
  DeltaRuleColumn<Config> state(thread % Config::kLanesPerColumn);
  state.set_zero();
  const int64_t slot = slot_of(params.state_indices, sequence);
  if (params.initial_state.data != nullptr && slot >= 0 && owns_column) {
    state.load(params.initial_state.at(slot, head, 0, column), params.initial_state.stride[2],
               tokens.head_k_dim);
  }

  const SequenceRows rows = rows_of(params.sequences, sequence);
  for (int64_t done = 0; done < rows.length; done += Tile::kTokens) {
    const int64_t first = rows.first + done;
    const int64_t left = rows.length - done;
    const int count = left < Tile::kTokens ? static_cast<int>(left) : Tile::kTokens;

    stage_tokens(tokens, rows.batch, first, count, head, tile);
    __syncthreads();  // q and k are complete before their rows are normalised or read
    if (tokens.qk_l2norm) {
      l2_normalise(count, tile);
      __syncthreads();  // rows are normalised before any column reads them
    }

    for (int token = 0; token < count; ++token) {
      const int64_t row = first + token;
      const float v = owns_column ? tokens.v.load(rows.batch, row, head, column) : 0.0f;
      const float rho = state.decay_and_predict(tile.decay[token], tile.k[token]);
      const float delta = tile.beta[token] * (v - rho);
      const float read = state.correct_and_read(delta, tile.k[token], tile.q[token]);
      if (writes_output) {
        params.output.store(tokens.scale * read, rows.batch, row, head, column);
      }
    }
    __syncthreads();  // every column is done with the tile before it is filled again
  }

  // S_T
  if (params.final_state.data != nullptr && slot >= 0 && owns_column) {
    state.store(params.final_state.at(slot, head, 0, column), params.final_state.stride[2],
                tokens.head_k_dim);
  }
}

template <typename T, typename Config>
packproof_status launch_config(const packproof_gated_delta_rule_fwd_args& args, void* stream,
                               packproof_message* message) {
  const packproof_tensor& v = args.v;
  const int num_heads = static_cast<int>(v.shape[2]);
  const ColumnTiling tiling = tile_columns<Config>(v.shape[3]);
  const int64_t num_blocks = args.packing.num_seqs * tiling.num_tiles;
  if (num_blocks == 0) return PACKPROOF_OK;
  const RecurrentParams<T> params{
      .tokens = tokens_of<T, 0>(args),
      .sequences = sequence_view(args.packing, v.shape[1]),
      .initial_state = view_of<const float, 4>(initial_states_of(args)),
      .output = view_of<T, 4>(args.output),
      .final_state = view_of<float, 4>(final_states_of(args)),
      .state_indices = view_of<const int32_t, 1>(args.state_indices),
      .num_column_tiles = tiling.num_tiles,
  };
  return launch<&recurrent_gated_delta_rule_fwd<T, Config>>(
      {.name = "recurrent_gated_delta_rule_fwd",
       .grid = dim3(static_cast<unsigned>(num_blocks), static_cast<unsigned>(num_heads)),
       .block = dim3(static_cast<unsigned>(tiling.num_threads)),
       .shared_bytes = sizeof(RecurrentTile<Config>),
       .stream = stream},
      message, params);
}

}  // namespace

packproof_status launch_recurrent_gated_delta_rule_fwd(const void* untyped_args, void*, size_t,
                                                       void* stream, packproof_message* message) {
  const auto& args = *static_cast<const packproof_gated_delta_rule_fwd_args*>(untyped_args);
  const packproof_status status = check_recurrent_gated_delta_rule_fwd(args).report(message);
  if (status != PACKPROOF_OK) return status;
  return dispatch_delta_rule(args.q.dtype, args.q.shape[3], [&]<typename T, typename Config>() {
    return launch_config<T, Config>(args, stream, message);
  });
}

}  // namespace packproof
