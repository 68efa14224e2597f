// recurrent_gated_delta_rule_update, forward: one token per sequence (decode) against a pool of
// states that is updated in place. Spec 3.1 as in recurrent_gated_delta_rule_fwd.cu, whose columns
// and token tile it shares: decoding token by token gives the bits of one prefill.
//
// Tensors     q, k [N, Hk, K]; v, output [N, Hv, V]; g [N, Hv] f32, or a [N, Hv] with A_log,
//             dt_bias [Hv] f32; beta [N, Hv]; state [S, Hv, K, V] f32; state_indices [N] i32 or
//             absent (slot n). Any strides.
// Mapping     grid (N * column tiles, Hv); block and columns as in the forward kernel.
// Shared      a TokenTile of one token: at most 2,096 bytes.
// Skipped     state_indices[n] = -1 writes a zero output row and touches no slot.
// Bits        fixed order of every sum, no atomics. Slots named twice in one call are a race, which
//             the check of the host copy refuses.

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
struct UpdateParams {
  DeltaRuleTokens<T> tokens;
  StridedView<float, 4> state;
  StridedView<const int32_t, 1> state_indices;
  StridedView<T, 3> output;
  int num_column_tiles;
};

template <typename T, typename Config>
__global__ void __launch_bounds__(Config::kMaxThreads)
    recurrent_gated_delta_rule_update_fwd(UpdateParams<T> params) {
  using Tile = TokenTile<Config::kKeySize, 1>;
  Tile& tile = block_shared<Tile>();
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const int64_t row = blockIdx.x / params.num_column_tiles;
  const int column_tile = static_cast<int>(blockIdx.x % params.num_column_tiles);
  const int head = static_cast<int>(blockIdx.y);
  const int thread = static_cast<int>(threadIdx.x);
  const int columns_per_block = static_cast<int>(blockDim.x) / Config::kLanesPerColumn;
  const int column = column_tile * columns_per_block + thread / Config::kLanesPerColumn;
  const bool owns_column = column < tokens.head_v_dim;
  const bool writes_output = owns_column && thread % Config::kLanesPerColumn == 0;

  const int64_t slot = slot_of(params.state_indices, row);
  if (slot < 0) {
    if (writes_output) params.output.store(0.0f, row, head, column);
    return;  // the whole block leaves: slot depends on the row only
  }

  DeltaRuleColumn<Config> state(thread % Config::kLanesPerColumn);
  state.set_zero();
  if (owns_column) {
    state.load(params.state.at(slot, head, 0, column), params.state.stride[2], tokens.head_k_dim);
  }

  stage_tokens(tokens, 0, row, 1, head, tile);
  __syncthreads();  // q and k are complete before their rows are normalised or read
  if (tokens.qk_l2norm) {
    l2_normalise(1, tile);
    __syncthreads();  // rows are normalised before any column reads them
  }

  const float v = owns_column ? tokens.v.load(0, row, head, column) : 0.0f;
  const float rho = state.decay_and_predict(tile.decay[0], tile.k[0]);
  const float delta = tile.beta[0] * (v - rho);
  const float read = state.correct_and_read(delta, tile.k[0], tile.q[0]);
  if (writes_output) params.output.store(tokens.scale * read, row, head, column);

  if (owns_column) {
    state.store(params.state.at(slot, head, 0, column), params.state.stride[2], tokens.head_k_dim);
  }
}

template <typename T, typename Config>
packproof_status launch_config(const packproof_gated_delta_rule_update_args& args, void* stream,
                               packproof_message* message) {
  const int num_heads = static_cast<int>(args.v.shape[1]);
  const ColumnTiling tiling = tile_columns<Config>(args.v.shape[2]);
  const int64_t num_blocks = args.v.shape[0] * tiling.num_tiles;
  if (num_blocks == 0) return PACKPROOF_OK;
  const UpdateParams<T> params{
      .tokens = tokens_of<T, 1>(args),
      .state = view_of<float, 4>(args.state),
      .state_indices = view_of<const int32_t, 1>(args.state_indices),
      .output = view_of<T, 3>(args.output),
      .num_column_tiles = tiling.num_tiles,
  };
  return launch<&recurrent_gated_delta_rule_update_fwd<T, Config>>(
      {.name = "recurrent_gated_delta_rule_update_fwd",
       .grid = dim3(static_cast<unsigned>(num_blocks), static_cast<unsigned>(num_heads)),
       .block = dim3(static_cast<unsigned>(tiling.num_threads)),
       .shared_bytes = sizeof(TokenTile<Config::kKeySize, 1>),
       .stream = stream},
      message, params);
}

}  // namespace

packproof_status launch_recurrent_gated_delta_rule_update_fwd(const void* untyped_args, void*,
                                                              size_t, void* stream,
                                                              packproof_message* message) {
  const auto& args = *static_cast<const packproof_gated_delta_rule_update_args*>(untyped_args);
  const packproof_status status = check_recurrent_gated_delta_rule_update_fwd(args).report(message);
  if (status != PACKPROOF_OK) return status;
  return dispatch_delta_rule(args.q.dtype, args.q.shape[2], [&]<typename T, typename Config>() {
    return launch_config<T, Config>(args, stream, message);
  });
}

}  // namespace packproof
