// scan: walks the chunks of each sequence that has several, with A and P of `prep` (spec 3.2).
//
// Mapping     grid sequences (longest first) * value heads * slices of V; a warp owns 16 columns of
//             the state and keeps them in registers as S^T from the first chunk to the last
//             (chunk_state.cuh). Warps share staged rows and operators only: one barrier a chunk.
// Staging     the next chunk's q, k, v, A, P are copied while this one is computed; with 256 keys,
//             and with 128 on devices of 99 KB (sm_86, sm_89), there is room for one chunk only.
// Shared      ScanShared: 126,464 bytes for 128 keys and a slice of 128 columns.
// Bits        No result depends on the slice, the order of blocks, or another sequence.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/gated_delta_rule/chunk_scan.cuh"
#include "kernels/ptx/copy_async.cuh"

namespace packproof {
namespace {

template <typename T, int kKeys, int kColumns>
struct ScanStage {
  RowTile<T, kKeys> q, k;
  RowTile<T, kColumns> v;
  ChunkOperators<T> operators;
};

/// Two warps that own columns leave warps' slots free: two more stage for them.
template <int kColumns>
struct ScanThreads {
  static constexpr int kWalking = 2 * kColumns;
  static constexpr int kStaging = kColumns == 32 ? 64 : kWalking;
  static constexpr int kFirstStaging = kColumns == 32 ? kWalking : 0;
  static constexpr int kAll = kFirstStaging + kStaging;
};

/// Rows 0 .. num_rows - 1 of the tiles, zeros where there is no token, by threads 0 .. kThreads - 1.
/// The caller commits and waits, here and below.
template <int kThreads, typename T, int kKeys>
__device__ __forceinline__ void stage_keys(const ChunkParams<T>& params, const ScanTask& task,
                                           int chunk, int thread, int num_rows,
                                           RowTile<T, kKeys>& q, RowTile<T, kKeys>& k) {
  const DeltaRuleTokens<T>& tokens = params.tokens;
  if (params.key_copies.data == nullptr) {
    const auto stage = [&](RowTile<T, kKeys>& tile, const StridedView<const T, 4>& view) {
      const HeadColumns<T> columns{view, task.key_head, 0, tokens.head_k_dim, true};
      stage_run<kThreads>(tile, thread, num_rows, task.run(columns, chunk));
    };
    stage(q, tokens.q);
    stage(k, tokens.k);
  } else {
    const int keys = params.key_copies.keys;
    const int64_t chunk_head =
        (int64_t{task.first_chunk} + chunk) * params.num_k_heads + task.key_head;
    const auto stage = [&](RowTile<T, kKeys>& tile, const T* copy) {
      stage_run<kThreads>(tile, thread, num_rows, RowRun<T>{copy, num_rows, keys, 1, keys, true});
    };
    stage(q, params.key_copies.q(chunk_head));
    stage(k, params.key_copies.k(chunk_head));
  }
}

template <int kThreads, typename T>
__device__ __forceinline__ void stage_operators(const ChunkParams<T>& params, const ScanTask& task,
                                                int chunk, int thread,
                                                ChunkOperators<T>& operators) {
  const int64_t chunk_head = (int64_t{task.first_chunk} + chunk) * params.num_v_heads + task.head;
  stage_bytes<kThreads, sizeof(operators)>(&operators, &params.operators[chunk_head], thread);
}

/// The whole chunk, by threads 0 .. kThreads - 1 of those that stage.
template <int kThreads, typename T, int kKeys, int kColumns>
__device__ __forceinline__ void stage_chunk(const ChunkParams<T>& params, const ScanTask& task,
                                            int chunk, int thread,
                                            ScanStage<T, kKeys, kColumns>& stage) {
  if (thread < 0) return;
  const int num_rows = kBlockRows * blocks_of(task.rows_in(chunk));
  stage_keys<kThreads>(params, task, chunk, thread, num_rows, stage.q, stage.k);
  stage_values<kThreads>(params, task, chunk, thread, num_rows, task.first_column, stage.v);
  stage_operators<kThreads>(params, task, chunk, thread, stage.operators);
  ptx::copy_async_commit();
}

template <typename T, int kKeys, int kColumns, int kNumStages>
struct ScanShared {
  ScanStage<T, kKeys, kColumns> stage[kNumStages];
};

template <typename T, int kKeys, int kColumns, int kNumStages>
__global__ void __launch_bounds__(ScanThreads<kColumns>::kAll)
    chunk_scan(ChunkParams<T> params, int num_slices) {
  const int place = place_of_scan(params, num_slices);
  if (place >= params.schedule.counts->num_long) return;
  auto& shared = block_shared<ScanShared<T, kKeys, kColumns, kNumStages>>();
  const DeltaRuleTokens<T>& tokens = params.tokens;

  const ScanTask task = task_of_scan(params, place, num_slices, kColumns);
  const int head = task.head;
  const int column = static_cast<int>(threadIdx.x) / 32 * kWarpColumns;
  const int state_column = task.first_column + column;
  const bool owns_columns = column < kColumns && state_column < tokens.head_v_dim;
  using Threads = ScanThreads<kColumns>;
  const int staging_thread = static_cast<int>(threadIdx.x) - Threads::kFirstStaging;

  stage_chunk<Threads::kStaging>(params, task, 0, staging_thread, shared.stage[0]);
  ChunkState<T, kKeys> state;
  if (owns_columns) {
    state.load(params.initial_state, task.slot, head, state_column, tokens.head_k_dim,
               tokens.head_v_dim);
  }
  for (int chunk = 0; chunk < task.num_chunks(); ++chunk) {
    auto& stage = shared.stage[chunk % kNumStages];
    ptx::copy_async_wait<0>();
    __syncthreads();  // this chunk is staged, and nobody reads the other stage any more
    const bool is_last = chunk + 1 == task.num_chunks();
    if (kNumStages > 1 && !is_last) {
      stage_chunk<Threads::kStaging>(params, task, chunk + 1, staging_thread,
                                     shared.stage[(chunk + 1) % kNumStages]);
    }
    if (owns_columns) {
      const int num_rows = task.rows_in(chunk);
      const bool carry = !is_last || params.final_state.data != nullptr;
      const auto walk = [&](const TileRows& rows) {
        float output[kChunkBlocks][2][4];
        state.advance(stage.q, stage.k, stage.v, stage.operators, rows, column, carry, output);
        T* first = params.output.at(task.rows.batch, task.first_row(chunk), head, state_column);
        store_output(output, tokens.scale, rows, column, stage.v, first, params.output.stride[1],
                     params.output.stride[3], tokens.head_v_dim - state_column,
                     params.output_aligned);
      };
      // Constants leave no branches between the products; with 256 keys there are no registers to
      // gain from that.
      if (kKeys <= 128 && num_rows == kChunkRows) {
        walk({0, kChunkBlocks, kChunkRows});
      } else {
        walk({0, blocks_of(num_rows), num_rows});
      }
    }
    if (kNumStages == 1 && !is_last) {
      __syncthreads();  // nobody reads the only stage any more
      stage_chunk<Threads::kStaging>(params, task, chunk + 1, staging_thread, stage);
    }
  }
  if (owns_columns) {
    state.store(params.final_state, task.slot, head, state_column, tokens.head_k_dim,
                tokens.head_v_dim);
  }
}

template <typename T, int kKeys, int kColumns, int kNumStages = kKeys <= 128 ? 2 : 1>
packproof_status launch_slices(const ChunkParams<T>& params, const ChunkGrids& grids, void* stream,
                               packproof_message* message) {
  const int num_slices = (params.tokens.head_v_dim + kColumns - 1) / kColumns;
  return launch<&chunk_scan<T, kKeys, kColumns, kNumStages>>(
      {.name = "chunk_scan",
       .grid = dim3(static_cast<unsigned>(grids.num_long * params.num_v_heads * num_slices)),
       .block = dim3(ScanThreads<kColumns>::kAll),
       .shared_bytes = sizeof(ScanShared<T, kKeys, kColumns, kNumStages>),
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
      if (kKeys == 128 && max_shared_bytes() < sizeof(ScanShared<T, 128, 128, 2>)) {
        return launch_slices<T, 128, 64, 1>(params, grids, stream, message);
      }
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
