// scan: walks the chunks of each sequence that has several, with A and P of `prep` (spec 3.2).
//
// Mapping     grid sequences (longest first) * value heads * slices of V; a warp owns 16 columns of
//             the state and keeps them in registers as S^T from the first chunk to the last
//             (chunk_state.cuh). Warps share staged rows and operators only: one barrier a chunk.
// Staging     the next chunk's q, k, v, A, P are copied while this one is computed; with 256 keys
//             there is room for one chunk only.
// Shared      ScanShared: 126,464 bytes for 128 keys and a slice of 128 columns.
// Bits        No result depends on the slice, the order of blocks, or another sequence.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/gated_delta_rule/chunk_kernels.h"
#include "kernels/gated_delta_rule/chunk_state.cuh"

namespace packproof {
namespace {

template <typename T, int kKeys, int kColumns>
struct ScanStage {
  RowTile<T, kKeys> q, k;
  RowTile<T, kColumns> v;
  ChunkOperators<T> operators;
};

template <typename T, int kKeys, int kColumns>
struct ScanShared {
  static constexpr int kNumStages = kKeys <= 128 ? 2 : 1;
  ScanStage<T, kKeys, kColumns> stage[kNumStages];
};

/// What a block walks: one sequence, one head, columns first_column on.
struct ScanTask {
  SequenceRows rows;
  int32_t sequence;
  int32_t first_chunk;
  int head;
  int key_head;
  int first_column;

  __device__ int rows_in(int chunk) const {
    const int64_t left = rows.length - int64_t{kChunkRows} * chunk;
    return left < kChunkRows ? static_cast<int>(left) : kChunkRows;
  }
};

template <typename T, typename Stage>
__device__ __forceinline__ void stage_chunk(const ChunkParams<T>& params, const ScanTask& task,
                                            int chunk, Stage& stage) {
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const int num_rows = task.rows_in(chunk);
  const int staged_rows = kBlockRows * blocks_of(num_rows);
  const int64_t first_row = task.rows.first + int64_t{kChunkRows} * chunk;
  const auto stage_tensor = [&](auto& tile, const HeadColumns<T>& columns) {
    stage_rows(tile, staged_rows, columns.count, columns.view.stride[3], columns.aligned,
               columns.view.data, [&](int r, int column) -> const T* {
                 if (r >= num_rows) return nullptr;
                 return columns.at(task.rows.batch, first_row + r, column);
               });
  };
  if (params.key_copies.data == nullptr) {
    stage_tensor(stage.q, {tokens.q, task.key_head, 0, tokens.head_k_dim, true});
    stage_tensor(stage.k, {tokens.k, task.key_head, 0, tokens.head_k_dim, true});
  } else {
    const int keys = params.key_copies.keys;
    const int64_t chunk_head =
        (int64_t{task.first_chunk} + chunk) * params.num_k_heads + task.key_head;
    const T* q = params.key_copies.q(chunk_head);
    const T* k = params.key_copies.k(chunk_head);
    stage_rows(stage.q, staged_rows, keys, 1, true, q,
               [&](int r, int column) { return q + r * keys + column; });
    stage_rows(stage.k, staged_rows, keys, 1, true, k,
               [&](int r, int column) { return k + r * keys + column; });
  }
  stage_tensor(stage.v, {tokens.v, task.head, task.first_column,
                         tokens.head_v_dim - task.first_column, params.values_aligned});
  const auto* from = reinterpret_cast<const unsigned char*>(
      &params.operators[(int64_t{task.first_chunk} + chunk) * params.num_v_heads + task.head]);
  auto* to = reinterpret_cast<unsigned char*>(&stage.operators);
  for (int offset = kPieceBytes * static_cast<int>(threadIdx.x);
       offset < static_cast<int>(sizeof(ChunkOperators<T>));
       offset += kPieceBytes * static_cast<int>(blockDim.x)) {
    ptx::copy_async<kPieceBytes>(to + offset, from + offset);
  }
  ptx::copy_async_commit();
}

template <typename T, int kKeys, int kColumns>
__global__ void __launch_bounds__(2 * kColumns) chunk_scan(ChunkParams<T> params, int num_slices) {
  const auto heads_and_slices = static_cast<unsigned>(params.num_v_heads * num_slices);
  const int place = static_cast<int>(blockIdx.x / heads_and_slices);
  const int head_and_slice = static_cast<int>(blockIdx.x % heads_and_slices);
  if (place >= params.schedule.counts->num_long) return;
  using Shared = ScanShared<T, kKeys, kColumns>;
  constexpr int kNumStages = Shared::kNumStages;
  Shared& shared = block_shared<Shared>();
  const DeltaRuleTokens<T>& tokens = params.tokens;

  const LongSequence& sequence = params.schedule.longest_first[place];
  const int head = head_and_slice / num_slices;
  const ScanTask task{rows_of(params.sequences, sequence.sequence),
                      sequence.sequence,
                      sequence.first_chunk,
                      head,
                      head / tokens.heads_per_group,
                      head_and_slice % num_slices * kColumns};
  const int column = static_cast<int>(threadIdx.x) / 32 * kWarpColumns;
  const int state_column = task.first_column + column;
  const bool owns_columns = state_column < tokens.head_v_dim;

  stage_chunk(params, task, 0, shared.stage[0]);
  ChunkState<T, kKeys> state;
  if (owns_columns) {
    state.load(params.initial_state, task.sequence, head, state_column, tokens.head_k_dim,
               tokens.head_v_dim);
  }
  for (int chunk = 0; chunk < sequence.num_chunks; ++chunk) {
    auto& stage = shared.stage[chunk % kNumStages];
    ptx::copy_async_wait<0>();
    __syncthreads();  // this chunk is staged, and nobody reads the other stage any more
    const bool is_last = chunk + 1 == sequence.num_chunks;
    if (kNumStages > 1 && !is_last) {
      stage_chunk(params, task, chunk + 1, shared.stage[(chunk + 1) % kNumStages]);
    }
    if (owns_columns) {
      const int num_rows = task.rows_in(chunk);
      const TileRows rows{0, blocks_of(num_rows), num_rows};
      const bool carry = !is_last || params.final_state.data != nullptr;
      float output[kChunkBlocks][2][4];
      state.advance(stage.q, stage.k, stage.v, stage.operators, rows, column, carry, output);
      T* first = params.output.at(task.rows.batch, task.rows.first + int64_t{kChunkRows} * chunk,
                                  head, state_column);
      store_output(output, tokens.scale, rows, column, stage.v, first, params.output.stride[1],
                   params.output.stride[3], tokens.head_v_dim - state_column,
                   params.output_aligned);
    }
    if (kNumStages == 1 && !is_last) {
      __syncthreads();  // nobody reads the only stage any more
      stage_chunk(params, task, chunk + 1, stage);
    }
  }
  if (owns_columns) {
    state.store(params.final_state, task.sequence, head, state_column, tokens.head_k_dim,
                tokens.head_v_dim);
  }
}

template <typename T, int kKeys, int kColumns>
packproof_status launch_slices(const ChunkParams<T>& params, const ChunkGrids& grids, void* stream,
                               packproof_message* message) {
  const int num_slices = (params.tokens.head_v_dim + kColumns - 1) / kColumns;
  return launch<&chunk_scan<T, kKeys, kColumns>>(
      {.name = "chunk_scan",
       .grid = dim3(static_cast<unsigned>(grids.num_long * params.num_v_heads * num_slices)),
       .block = dim3(2 * kColumns),
       .shared_bytes = sizeof(ScanShared<T, kKeys, kColumns>),
       .stream = stream},
      message, params, num_slices);
}

/// Columns of V a block: as many as it can share staged rows among, fewer where that would leave
/// processors without a block.
int slice_columns(int64_t num_walks, int head_v_dim) {
  const auto fills = [&](int columns) {
    const int num_slices = (head_v_dim + columns - 1) / columns;
    return head_v_dim > columns / 2 && num_walks * num_slices >= num_multiprocessors();
  };
  if (fills(128)) return 128;
  if (fills(64)) return 64;
  return 32;
}

}  // namespace

template <typename T>
packproof_status launch_chunk_scan(const ChunkParams<T>& params, const ChunkGrids& grids,
                                   void* stream, packproof_message* message) {
  if (grids.num_long == 0) return PACKPROOF_OK;
  const int columns = slice_columns(grids.num_long * params.num_v_heads, params.tokens.head_v_dim);
  return dispatch_keys(params.tokens.head_k_dim, [&]<int kKeys>() {
    if constexpr (kKeys == 32) {
      return launch_slices<T, kKeys, 32>(params, grids, stream, message);
    } else if constexpr (kKeys == 256) {
      return launch_slices<T, kKeys, 64>(params, grids, stream, message);
    } else {
      if (columns == 32) return launch_slices<T, kKeys, 32>(params, grids, stream, message);
      if (columns == 64) return launch_slices<T, kKeys, 64>(params, grids, stream, message);
      return launch_slices<T, kKeys, 128>(params, grids, stream, message);
    }
  });
}

template packproof_status launch_chunk_scan(const ChunkParams<Half>&, const ChunkGrids&, void*,
                                            packproof_message*);
template packproof_status launch_chunk_scan(const ChunkParams<BFloat16>&, const ChunkGrids&, void*,
                                            packproof_message*);

}  // namespace packproof
