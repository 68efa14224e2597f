// scan on sm_90: the walk of chunk_gated_delta_rule_scan.cu with products of warpgroups (wgmma), for
// keys in tiles of 64 and 128.
//
// Mapping     grid sequences (longest first) * value heads * slices of 64 columns of V; four warps,
//             of which each keeps 16 columns of the state in registers as S^T.
// Order       K H and Q H of a chunk start together; K H is waited for first: X, Delta and the new
//             state depend on it, the output alone on Q H. P Delta runs beside the update of the
//             state; while they run, the chunk before is written and v of the next one is staged.
// Staging     two chunks of q, k, A, P as prep left them, by the copy engine; v by the warp that owns
//             the columns, which leaves its output there. A chunk's tail is rows of zeros: every chunk
//             is the same work.
// Shared      WarpgroupScanShared: 112,144 bytes for 128 keys, two blocks an SM.
// Bits        Those of chunk_gated_delta_rule_scan.cu: sums have the same order, and the tensor cores
//             give wgmma and mma.sync the same bits.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/gated_delta_rule/chunk_scan.cuh"
#include "kernels/gated_delta_rule/chunk_warpgroup.cuh"
#include "kernels/ptx/bulk_copy.cuh"
#include "kernels/ptx/copy_async.cuh"
#include "kernels/ptx/warpgroup_mma.cuh"

namespace packproof {
namespace {

/// Blocks that have a processor each are better walked by chunk_scan_few_sm90. At least so many: the
/// host counts one processor, and shall execute both.
constexpr int kFewBlocks = 4;

template <typename T, int kKeys>
struct WarpgroupScanStage {
  KeyPieces<T, kKeys> keys;
  ChunkOperators<T> operators;
  RowTile<T, kWarpColumns> values[kGroupWarps];
};

template <typename T, int kKeys>
struct WarpgroupScanShared {
  WarpgroupScanStage<T, kKeys> stage[2];
  ptx::BulkBarrier arrived[2];  // keys and operators of a stage
};

template <typename T, int kKeys>
__global__ void __launch_bounds__(kGroupThreads, 2)
    chunk_scan_sm90(ChunkParams<T> params, int num_slices) {
  const int place = place_of_scan(params, num_slices);
  if (place >= params.schedule.counts->num_long) return;
  auto& shared = block_shared<WarpgroupScanShared<T, kKeys>>();
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const ScanTask task = task_of_scan(params, place, num_slices, kSliceColumns);
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int state_column = task.first_column + kWarpColumns * warp;

  const auto stage_keys_and_operators = [&](int chunk) {
    auto& stage = shared.stage[chunk % 2];
    if (thread == 0) {
      copy_keys_and_operators(params, task, chunk, shared.arrived[chunk % 2], stage.keys,
                              stage.operators);
    }
    __syncwarp();
  };
  const auto stage_own_values = [&](int chunk) {
    stage_values<32>(params, task, chunk, lane, kChunkRows, state_column,
                     shared.stage[chunk % 2].values[warp]);
    ptx::copy_async_commit();
  };
  const auto write_output = [&](int chunk) {
    T* first = params.output.at(task.rows.batch, task.first_row(chunk), task.head, state_column);
    write_rows(shared.stage[chunk % 2].values[warp], TileRows{0, kChunkBlocks, task.rows_in(chunk)},
               0, first, params.output.stride[1], params.output.stride[3],
               tokens.head_v_dim - state_column, params.output_aligned);
  };

  if (thread == 0) {
    for (ptx::BulkBarrier& barrier : shared.arrived) ptx::bulk_barrier_init(barrier);
  }
  __syncthreads();  // the barriers stand
  stage_keys_and_operators(0);
  stage_own_values(0);
  StateColumns<kKeys> columns;
  columns.load(params.initial_state, task.slot, task.head, state_column, tokens.head_k_dim,
               tokens.head_v_dim);
  auto& state = reinterpret_cast<float(&)[kKeys / 2]>(columns.s);
  uint32_t rounded_state[kKeys / 16][4];
  round_state<T>(columns, rounded_state);

  for (int chunk = 0; chunk < task.num_chunks(); ++chunk) {
    auto& stage = shared.stage[chunk % 2];
    auto& operators = stage.operators;
    ptx::bulk_wait(shared.arrived[chunk % 2], chunk / 2);
    __syncthreads();  // this chunk is staged, and nobody reads the other stage any more
    if (chunk + 1 < task.num_chunks()) stage_keys_and_operators(chunk + 1);

    float x[kChunkRows / 2];
    float output[kChunkRows / 2];
    ptx::warpgroup_mma_fence();
    read_state(x, rounded_state, stage.keys.k);
    ptx::warpgroup_mma_commit();
    read_state(output, rounded_state, stage.keys.q);
    ptx::warpgroup_mma_commit();
    ptx::copy_async_wait<0>();
    __syncwarp();  // the values stand
    ptx::warpgroup_mma_wait<1>(x);

    uint32_t corrections[kChunkBlocks][4];  // X^T
#pragma unroll
    for (int block = 0; block < kChunkBlocks; ++block) {
      float values[2][4];
      load_transposed<T>(stage.values[warp], kBlockRows * block, 0, lane, values);
      const RowFactors from_start(operators.from_start, kBlockRows * block, lane);
      const RowFactors beta(operators.beta, kBlockRows * block, lane);
      auto& of_block = block_of(x, block);
      for_each_of_block([&](int n, int e) {
        const float predicted = from_start(n, e) * of_block[n][e];
        of_block[n][e] = beta(n, e) * (values[n][e] - predicted);
      });
      round_to_left<T>(of_block, corrections[block]);
    }
    float delta[kChunkRows / 2];
    ptx::warpgroup_mma_fence();
    multiply_triangular<false>(delta, corrections, operators.solve);
    ptx::warpgroup_mma_commit();
    ptx::warpgroup_mma_wait<0>(delta, output);
    const float decay = operators.from_start[kChunkRows - 1];
#pragma unroll
    for (float& element : state) element *= decay;

    uint32_t deltas[kChunkBlocks][4];   // Delta^T
    uint32_t updates[kChunkBlocks][4];  // the same, decayed to the chunk's end
#pragma unroll
    for (int block = 0; block < kChunkBlocks; ++block) {
      const RowFactors from_start(operators.from_start, kBlockRows * block, lane);
      const RowFactors to_end(operators.to_end, kBlockRows * block, lane);
      auto& delta_block = block_of(delta, block);
      auto& output_block = block_of(output, block);
      round_to_left<T>(delta_block, deltas[block]);
      for_each_of_block([&](int n, int e) {
        delta_block[n][e] *= to_end(n, e);
        output_block[n][e] *= from_start(n, e);
      });
      round_to_left<T>(delta_block, updates[block]);
    }
    ptx::warpgroup_mma_fence();
    update_state(state, updates, stage.keys.k);
    ptx::warpgroup_mma_commit();
    multiply_triangular<true>(output, deltas, operators.attend);
    ptx::warpgroup_mma_commit();
    if (chunk > 0) write_output(chunk - 1);
    if (chunk + 1 < task.num_chunks()) stage_own_values(chunk + 1);
    ptx::warpgroup_mma_wait<1>(state);
    round_state<T>(columns, rounded_state);
    ptx::warpgroup_mma_wait<0>(output);
    __syncwarp();  // all lanes have read the values
    gather_output(output, tokens.scale, stage.values[warp]);
  }
  write_output(task.num_chunks() - 1);
  columns.store(params.final_state, task.slot, task.head, state_column, tokens.head_k_dim,
                tokens.head_v_dim);
}

}  // namespace

template <typename T>
packproof_status launch_chunk_scan_sm90(const ChunkParams<T>& params, const ChunkGrids& grids,
                                        void* stream, packproof_message* message) {
  if (grids.num_long == 0) return PACKPROOF_OK;
  const int num_slices = (params.tokens.head_v_dim + kSliceColumns - 1) / kSliceColumns;
  const int64_t num_blocks = grids.num_long * params.num_v_heads * num_slices;
  if (num_blocks <= max(num_multiprocessors(), kFewBlocks)) {
    return launch_chunk_scan_few_sm90(params, grids, stream, message);
  }
  return dispatch_keys(params.tokens.head_k_dim, [&]<int kKeys>() {
    if constexpr (kKeys == 64 || kKeys == 128) {
      return launch<&chunk_scan_sm90<T, kKeys>>(
          {.name = "chunk_scan_sm90",
           .grid = dim3(static_cast<unsigned>(num_blocks)),
           .block = dim3(kGroupThreads),
           .shared_bytes = sizeof(WarpgroupScanShared<T, kKeys>),
           .stream = stream},
          message, params, num_slices);
    } else {
      return PACKPROOF_NOT_SUPPORTED;  // check_chunk_gated_delta_rule_fwd_sm90 refuses these
    }
  });
}

template packproof_status launch_chunk_scan_sm90(const ChunkParams<Half>&, const ChunkGrids&, void*,
                                                 packproof_message*);
template packproof_status launch_chunk_scan_sm90(const ChunkParams<BFloat16>&, const ChunkGrids&,
                                                 void*, packproof_message*);

}  // namespace packproof
