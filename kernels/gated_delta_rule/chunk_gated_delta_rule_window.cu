// window: sequences of at most 64 tokens, up to four to a tile of 64 rows, each from a multiple of 16
// rows on; A, P and the outputs in one kernel, since nothing is carried on.
//
// Mapping     grid windows * key heads, 4 warps: as `prep` while A and P take shape, then each warp
//             owns 16 of 64 columns of the state, sequence by sequence (chunk_state.cuh).
// Neighbours  rows of another sequence meet in no sum: a 16 x 16 block belongs to one sequence, and
//             blocks of two are skipped. Rows without a token are zeros.
// Empty       a sequence without tokens copies its initial state (or zeros) to its final state.
// Shared      WindowShared: 73,600 bytes for 128 keys.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
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
  OperatorScratch scratch;
  TileBlock blocks[kChunkBlocks];
};

/// The tile's blocks, by one thread.
__device__ void describe_window(const SequenceView& sequences, const Window& window,
                                TileBlock* blocks) {
  int next = 0;
  for (int i = 0; i < window.count; ++i) {
    const SequenceRows rows = rows_of(sequences, window.first + i);
    const int first = next;
    next += blocks_of(rows.length);
    for (int block = first; block < next; ++block) blocks[block] = block_of(rows, 0, block, first);
  }
  for (; next < kChunkBlocks; ++next) blocks[next] = {0, 0, 0, next, next + 1};
}

/// Sequence i of the window takes its state over its rows.
template <typename T, int kKeys>
__device__ __forceinline__ void walk_sequence(const ChunkParams<T>& params,
                                              WindowShared<T, kKeys>& shared, int32_t sequence,
                                              const SequenceRows& rows, int first_block, int head,
                                              int column, int state_column) {
  const DeltaRuleTokens<T>& tokens = params.tokens;
  ChunkState<T, kKeys> state;
  state.load(params.initial_state, sequence, head, state_column, tokens.head_k_dim,
             tokens.head_v_dim);
  if (rows.length > 0) {
    const TileRows in_tile{first_block, blocks_of(rows.length), static_cast<int>(rows.length)};
    const bool carry = params.final_state.data != nullptr;
    float output[kChunkBlocks][2][4];
    state.advance(shared.q, shared.k, shared.v, shared.operators, in_tile, column, carry, output);
    store_output(output, tokens.scale, in_tile, column, shared.v,
                 params.output.at(rows.batch, rows.first, head, state_column),
                 params.output.stride[1], params.output.stride[3], tokens.head_v_dim - state_column,
                 params.output_aligned);
  }
  state.store(params.final_state, sequence, head, state_column, tokens.head_k_dim,
              tokens.head_v_dim);
}

template <typename T, int kKeys>
__global__ void __launch_bounds__(kOperatorThreads) chunk_window(ChunkParams<T> params) {
  const int place = static_cast<int>(blockIdx.x / static_cast<unsigned>(params.num_k_heads));
  const int key_head = static_cast<int>(blockIdx.x % static_cast<unsigned>(params.num_k_heads));
  if (place >= params.schedule.counts->num_windows) return;
  auto& shared = block_shared<WindowShared<T, kKeys>>();
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const Window window = params.schedule.windows[place];
  if (threadIdx.x == 0) describe_window(params.sequences, window, shared.blocks);
  __syncthreads();  // blocks stand
  stage_blocks(shared.q, shared.blocks,
               HeadColumns<T>{tokens.q, key_head, 0, tokens.head_k_dim, params.keys_aligned});
  stage_blocks(shared.k, shared.blocks,
               HeadColumns<T>{tokens.k, key_head, 0, tokens.head_k_dim, params.keys_aligned});
  ptx::copy_async_commit();
  ptx::copy_async_wait<0>();
  __syncthreads();  // q and k stand
  if (tokens.qk_l2norm) {
    l2_normalise_rows(shared.q, shared.k);
    __syncthreads();  // they are normalised
  }

  const int column = static_cast<int>(threadIdx.x) / 32 * kWarpColumns;
  for (int i = 0; i < tokens.heads_per_group; ++i) {
    const int head = key_head * tokens.heads_per_group + i;
    // Again for each value head: kept meanwhile, the products would not fit beside the state.
    KeyProducts products;
    multiply_keys(shared.q, shared.k, shared.blocks, products);
    prepare_operators(tokens, shared.blocks, products, head, shared.scratch, shared.operators);
    for (int pass = 0; pass < tokens.head_v_dim; pass += kPassColumns) {
      stage_blocks(
          shared.v, shared.blocks,
          HeadColumns<T>{tokens.v, head, pass, tokens.head_v_dim - pass, params.values_aligned});
      ptx::copy_async_commit();
      ptx::copy_async_wait<0>();
      __syncthreads();  // v stands
      if (pass + column < tokens.head_v_dim) {
        int first_block = 0;
        for (int n = 0; n < window.count; ++n) {
          const SequenceRows rows = rows_of(params.sequences, window.first + n);
          walk_sequence(params, shared, window.first + n, rows, first_block, head, column,
                        pass + column);
          first_block += blocks_of(rows.length);
        }
      }
      __syncthreads();  // v and the operators are no longer read
    }
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
         .grid = dim3(static_cast<unsigned>(grids.num_windows * params.num_k_heads)),
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
