// window: sequences of at most 64 tokens, up to four to a tile of 64 rows, each from a multiple of 16
// rows on; A, P and the outputs in one kernel, since nothing is carried on.
//
// Mapping     grid windows * value heads, 4 warps: as `prep` while A and P take shape, then each warp
//             owns 16 of 64 columns of the state, sequence by sequence (chunk_state.cuh).
// Neighbours  rows of another sequence meet in no sum: a 16 x 16 block belongs to one sequence, and
//             blocks of two are skipped. Rows without a token are zeros.
// Empty       a sequence without tokens copies its initial state (or zeros) to its final state.
// Shared      WindowShared: 67,824 bytes for 128 keys.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/gated_delta_rule/chunk_inverse.cuh"
#include "kernels/gated_delta_rule/chunk_kernels.h"
#include "kernels/gated_delta_rule/chunk_operators.cuh"
#include "kernels/gated_delta_rule/chunk_state.cuh"

namespace packproof {
namespace {

constexpr int kPassColumns = kOperatorThreads / 32 * kWarpColumns;  // Of V at a time.

template <typename T, int kKeys>
struct WindowShared {
  RowTile<T, kKeys> q, k;
  RowTile<T, kPassColumns> v;
  ChunkOperators<T> operators;
  TileCoupling coupling;
  TileGates gates;
  TileBlock blocks[kChunkBlocks];
  TileRows sequences[kChunkBlocks];
};

/// Sequence i of the window in the tile, by thread i; the first thread past the last sequence
/// describes the blocks that none takes.
template <typename T, int kKeys>
__device__ void describe_window(const SequenceView& sequences, const Window& window, int i,
                                WindowShared<T, kKeys>& shared) {
  int first = 0;
  for (int before = 0; before < i; ++before) {
    first += blocks_of(rows_of(sequences, window.first + before).length);
  }
  if (i < window.count) {
    const SequenceRows rows = rows_of(sequences, window.first + i);
    const int end = first + blocks_of(rows.length);
    for (int block = first; block < end; ++block) {
      shared.blocks[block] = block_of(rows, 0, block, first);
    }
    shared.sequences[i] = {first, end - first, static_cast<int>(rows.length)};
  } else {
    for (int block = first; block < kChunkBlocks; ++block) {
      shared.blocks[block] = {0, 0, 0, block, block + 1};
    }
  }
}

/// One sequence of the window takes the warp's columns of its state over its rows.
template <typename T, int kKeys>
__device__ __forceinline__ void walk_sequence(const ChunkParams<T>& params,
                                              WindowShared<T, kKeys>& shared, int32_t sequence,
                                              const TileRows& rows, int head, int column,
                                              int state_column) {
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const int64_t slot = slot_of(params.state_indices, sequence);
  ChunkState<T, kKeys> state;
  state.load(params.initial_state, slot, head, state_column, tokens.head_k_dim, tokens.head_v_dim);
  if (rows.rows > 0) {
    const bool carry = params.final_state.data != nullptr;
    float output[kChunkBlocks][2][4];
    state.advance(shared.q, shared.k, shared.v, shared.operators, rows, column, carry, output);
    const TileBlock& first = shared.blocks[rows.first_block];
    store_output(output, tokens.scale, rows, column, shared.v,
                 params.output.at(first.batch, first.first_row, head, state_column),
                 params.output.stride[1], params.output.stride[3], tokens.head_v_dim - state_column,
                 params.output_aligned);
  }
  state.store(params.final_state, slot, head, state_column, tokens.head_k_dim, tokens.head_v_dim);
}

template <typename T, int kKeys>
__global__ void __launch_bounds__(kOperatorThreads) chunk_window(ChunkParams<T> params) {
  const int place = static_cast<int>(blockIdx.x / static_cast<unsigned>(params.num_v_heads));
  const int head = static_cast<int>(blockIdx.x % static_cast<unsigned>(params.num_v_heads));
  if (place >= params.schedule.counts->num_windows) return;
  auto& shared = block_shared<WindowShared<T, kKeys>>();
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const Window window = params.schedule.windows[place];
  const int thread = static_cast<int>(threadIdx.x);
  if (thread <= window.count) describe_window(params.sequences, window, thread, shared);
  __syncthreads();  // blocks stand
  const int key_head = head / tokens.heads_per_group;
  stage_blocks<kOperatorThreads>(
      shared.q, shared.blocks,
      HeadColumns<T>{tokens.q, key_head, 0, tokens.head_k_dim, params.keys_aligned});
  stage_blocks<kOperatorThreads>(
      shared.k, shared.blocks,
      HeadColumns<T>{tokens.k, key_head, 0, tokens.head_k_dim, params.keys_aligned});
  ptx::copy_async_commit();
  stage_blocks<kOperatorThreads>(
      shared.v, shared.blocks,
      HeadColumns<T>{tokens.v, head, 0, tokens.head_v_dim, params.values_aligned});
  ptx::copy_async_commit();
  if (thread < kChunkRows) {
    const RowGate gate =
        load_gate(tokens, shared.blocks[thread / kBlockRows], thread % kBlockRows, head);
    sum_gates(gate, thread, shared.gates);
  }
  ptx::copy_async_wait<1>();
  __syncthreads();  // q, k and gates stand
  if (thread < kChunkRows) {
    const RowDecays decays = decays_of_row(shared.blocks, thread, shared.gates);
    shared.operators.from_start[thread] = decays.from_start;
    shared.operators.to_end[thread] = decays.to_end;
    shared.operators.beta[thread] = shared.gates.beta[thread];
  }
  if (tokens.qk_l2norm) l2_normalise_rows(shared.q, shared.k);
  __syncthreads();  // decays stand, and q and k are normalised
  {
    KeyProducts products;
    multiply_keys(shared.q, shared.k, shared.blocks, thread / 32, products);
    apply_gates(shared.blocks, thread / 32, products, shared.gates, shared.coupling,
                shared.operators);
  }
  __syncthreads();  // M is complete
  invert(shared.blocks, &shared.coupling, &shared.operators, 1);

  const int column = thread / 32 * kWarpColumns;
  for (int pass = 0; pass < tokens.head_v_dim; pass += kPassColumns) {
    ptx::copy_async_wait<0>();
    __syncthreads();  // A and v stand
    if (pass + column < tokens.head_v_dim) {
      for (int n = 0; n < window.count; ++n) {
        walk_sequence(params, shared, window.first + n, shared.sequences[n], head, column,
                      pass + column);
      }
    }
    if (pass + kPassColumns >= tokens.head_v_dim) break;
    __syncthreads();  // v is no longer read
    stage_blocks<kOperatorThreads>(
        shared.v, shared.blocks,
        HeadColumns<T>{tokens.v, head, pass + kPassColumns, tokens.head_v_dim - pass - kPassColumns,
                       params.values_aligned});
    ptx::copy_async_commit();
  }
}

}  // namespace

template <typename T>
packproof_status launch_chunk_window(const ChunkParams<T>& params, const ChunkGrids& grids,
                                     void* stream, packproof_message* message) {
  if (grids.num_windows == 0) return PACKPROOF_OK;
  return dispatch_keys(params.tokens.head_k_dim, [&]<int kKeys>() {
    return launch<&chunk_window<T, kKeys>>(
        {.name = "chunk_window",
         .grid = dim3(static_cast<unsigned>(grids.num_windows * params.num_v_heads)),
         .block = dim3(kOperatorThreads),
         .shared_bytes = sizeof(WindowShared<T, kKeys>),
         .stream = stream},
        message, params);
  });
}

template packproof_status launch_chunk_window(const ChunkParams<Half>&, const ChunkGrids&, void*,
                                              packproof_message*);
template packproof_status launch_chunk_window(const ChunkParams<BFloat16>&, const ChunkGrids&,
                                              void*, packproof_message*);

}  // namespace packproof
