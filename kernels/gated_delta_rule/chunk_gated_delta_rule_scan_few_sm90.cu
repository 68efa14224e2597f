// scan on sm_90 where a block has a processor to itself, as for few long sequences: then the chain of a
// step's products is all that counts, and everything else runs beside it.
//
// Mapping     grid sequences (longest first) * value heads * slices of 64 columns of V. Two
//             warpgroups, warp w of each with 16 of the columns. The first walks: it keeps the state in
//             registers as S^T and makes X, Delta and the next state, a chain of three products. The
//             second makes the outputs beside it, from the rounded state and Delta that the first
//             hands over as fragments: Q H in the same step, P Delta one step later. Four more
//             warps copy what later steps need and write what earlier steps made.
// Staging     two steps ahead: q, k, A, P as prep left them by the copy engine, v row by row. A chunk's
//             tail is rows of zeros: every chunk is the same work.
// Shared      FewScanShared: 228,384 bytes for 128 keys, one block an SM.
// Bits        Those of chunk_gated_delta_rule_scan_sm90.cu.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/gated_delta_rule/chunk_scan.cuh"
#include "kernels/gated_delta_rule/chunk_warpgroup.cuh"
#include "kernels/ptx/bulk_copy.cuh"
#include "kernels/ptx/copy_async.cuh"
#include "kernels/ptx/named_barrier.cuh"
#include "kernels/ptx/set_registers.cuh"
#include "kernels/ptx/warpgroup_mma.cuh"

namespace packproof {
namespace {

constexpr int kNumThreads = 3 * kGroupThreads;

constexpr int kAhead = 2;  // Steps from a chunk's copies to its walk.
constexpr int kStages = kAhead + 1;
constexpr int kOperatorStages = kAhead + 2;  // P is read one step later.
constexpr int kBehind = 2;  // Steps from a chunk's walk to the writing of its output.

// Of a thread: 168 when the kernel starts, and no more than three times that in all.
constexpr int kWalkRegisters = 216;
constexpr int kCopyRegisters = 104;

constexpr int kStepBarrier = 1;      // All threads, before each step: a chunk's, and kBehind more.
constexpr int kHandOverBarrier = 2;  // Two groups: what was handed over is taken.

template <typename T, int kKeys>
struct FewScanShared {
  KeyPieces<T, kKeys> keys[kStages];
  ChunkOperators<T> operators[kOperatorStages];
  RowTile<T, kWarpColumns> values[kStages][kGroupWarps];
  RowTile<T, kWarpColumns> output[2][kGroupWarps];
  uint4 state[kKeys / 16][kGroupThreads];     // H^T, rounded, as each thread's fragments
  uint4 deltas[kChunkBlocks][kGroupThreads];  // Delta^T likewise
  ptx::BulkBarrier arrived[kStages];          // keys and operators of a chunk
};

/// The first warpgroup: the state, chunk by chunk.
template <typename T, int kKeys>
__device__ __forceinline__ void walk_state(const ChunkParams<T>& params, const ScanTask& task,
                                           FewScanShared<T, kKeys>& shared) {
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int state_column = task.first_column + kWarpColumns * warp;
  StateColumns<kKeys> columns;
  columns.load(params.initial_state, task.slot, task.head, state_column, tokens.head_k_dim,
               tokens.head_v_dim);
  auto& state = reinterpret_cast<float(&)[kKeys / 2]>(columns.s);
  uint32_t rounded_state[kKeys / 16][4];
  round_state<T>(columns, rounded_state);

  for (int chunk = 0; chunk < task.num_chunks(); ++chunk) {
    auto& k = shared.keys[chunk % kStages].k;
    auto& operators = shared.operators[chunk % kOperatorStages];
    ptx::bulk_wait(shared.arrived[chunk % kStages], chunk / kStages);
    float x[kChunkRows / 2];
    ptx::warpgroup_mma_fence();
    read_state(x, rounded_state, k);
    ptx::warpgroup_mma_commit();
    // Beside the product: the state is handed over, and what the rest of the step reads is loaded.
    __syncwarp();  // keeps the compiler from putting that before the product
    hand_over(rounded_state, thread, shared.state);
    ptx::named_barrier_sync(kStepBarrier, kNumThreads);  // the values and the state stand
    float values[kChunkBlocks][2][4];
#pragma unroll
    for (int block = 0; block < kChunkBlocks; ++block) {
      load_transposed<T>(shared.values[chunk % kStages][warp], kBlockRows * block, 0, lane,
                         values[block]);
    }
    const OwnFactors from_start(operators.from_start, lane);
    const OwnFactors beta(operators.beta, lane);
    const float decay = operators.from_start[kChunkRows - 1];
#pragma unroll
    for (float& element : state) element *= decay;
    ptx::warpgroup_mma_wait<0>(x);

    uint32_t corrections[kChunkBlocks][4];  // X^T
#pragma unroll
    for (int block = 0; block < kChunkBlocks; ++block) {
      auto& of_block = block_of(x, block);
      for_each_of_block([&](int n, int e) {
        const float predicted = from_start(block, n, e) * of_block[n][e];
        of_block[n][e] = beta(block, n, e) * (values[block][n][e] - predicted);
      });
      round_to_left<T>(of_block, corrections[block]);
    }
    float delta[kChunkRows / 2];
    ptx::warpgroup_mma_fence();
    multiply_triangular<false>(delta, corrections, operators.solve);
    ptx::warpgroup_mma_commit();
    const OwnFactors to_end(operators.to_end, lane);
    ptx::warpgroup_mma_wait<0>(delta);

    uint32_t deltas[kChunkBlocks][4];   // Delta^T
    uint32_t updates[kChunkBlocks][4];  // the same, decayed to the chunk's end
#pragma unroll
    for (int block = 0; block < kChunkBlocks; ++block) {
      auto& of_block = block_of(delta, block);
      round_to_left<T>(of_block, deltas[block]);
      for_each_of_block([&](int n, int e) { of_block[n][e] *= to_end(block, n, e); });
      round_to_left<T>(of_block, updates[block]);
    }
    ptx::warpgroup_mma_fence();
    update_state(state, updates, k);
    ptx::warpgroup_mma_commit();
    ptx::named_barrier_sync(kHandOverBarrier, 2 * kGroupThreads);  // what stood there is taken
    hand_over(deltas, thread, shared.deltas);
    ptx::warpgroup_mma_wait<0>(state);
    round_state<T>(columns, rounded_state);
  }
  for (int i = 0; i < kBehind; ++i) ptx::named_barrier_sync(kStepBarrier, kNumThreads);
  columns.store(params.final_state, task.slot, task.head, state_column, tokens.head_k_dim,
                tokens.head_v_dim);
}

/// The second warpgroup: the outputs.
template <typename T, int kKeys>
__device__ __forceinline__ void make_outputs(float scale, int num_chunks,
                                             FewScanShared<T, kKeys>& shared) {
  const int thread = static_cast<int>(threadIdx.x) - kGroupThreads;
  const int warp = thread / 32;
  const int lane = thread % 32;
  uint32_t state[kKeys / 16][4];
  uint32_t deltas[kChunkBlocks][4];
  float read[kChunkRows / 2];
  float output[kChunkRows / 2];
  ptx::named_barrier_sync(kStepBarrier, kNumThreads);  // the first state stands
  take_over(shared.state, thread, state);
  ptx::named_barrier_sync(kHandOverBarrier, 2 * kGroupThreads);
  ptx::bulk_wait(shared.arrived[0], 0);
  ptx::warpgroup_mma_fence();
  read_state(read, state, shared.keys[0].q);
  ptx::warpgroup_mma_commit();
  ptx::warpgroup_mma_wait<0>(read);
  decay_rows(read, OwnFactors(shared.operators[0].from_start, lane), output);
  for (int chunk = 1; chunk < num_chunks; ++chunk) {
    ptx::named_barrier_sync(kStepBarrier, kNumThreads);  // the state and Delta before it stand
    take_over(shared.deltas, thread, deltas);
    take_over(shared.state, thread, state);
    const int before = chunk - 1;
    ptx::bulk_wait(shared.arrived[chunk % kStages], chunk / kStages);
    ptx::warpgroup_mma_fence();
    multiply_triangular<true>(output, deltas, shared.operators[before % kOperatorStages].attend);
    ptx::warpgroup_mma_commit();
    read_state(read, state, shared.keys[chunk % kStages].q);
    ptx::warpgroup_mma_commit();
    __syncwarp();  // keeps the compiler from putting the reads before the products
    const OwnFactors from_start(shared.operators[chunk % kOperatorStages].from_start, lane);
    ptx::warpgroup_mma_wait<1>(output);
    gather_output(output, scale, shared.output[before % 2][warp]);
    ptx::named_barrier_sync(kHandOverBarrier, 2 * kGroupThreads);  // both are taken
    ptx::warpgroup_mma_wait<0>(read);
    decay_rows(read, from_start, output);
  }
  ptx::named_barrier_sync(kStepBarrier, kNumThreads);  // the last Delta stands
  take_over(shared.deltas, thread, deltas);
  const int last = num_chunks - 1;
  ptx::warpgroup_mma_fence();
  multiply_triangular<true>(output, deltas, shared.operators[last % kOperatorStages].attend);
  ptx::warpgroup_mma_commit();
  ptx::warpgroup_mma_wait<0>(output);
  gather_output(output, scale, shared.output[last % 2][warp]);
  ptx::named_barrier_sync(kStepBarrier, kNumThreads);
}

/// The third group: copies, kAhead steps before a chunk is walked, and outputs, kBehind steps after.
template <typename T, int kKeys>
__device__ __forceinline__ void copy_and_write(const ChunkParams<T>& params, const ScanTask& task,
                                               FewScanShared<T, kKeys>& shared) {
  const int thread = static_cast<int>(threadIdx.x) - 2 * kGroupThreads;
  const int warp = thread / 32;
  const int lane = thread % 32;
  const int column = task.first_column + kWarpColumns * warp;
  const int num_chunks = task.num_chunks();
  RowRun<T> values = task.run(values_of(params, task, column), 0);
  const StridedView<T, 4>& view = params.output;
  T* rows = view.at(task.rows.batch, task.first_row(0), task.head, column);
  for (int step = -kAhead; step < num_chunks + kBehind; ++step) {
    if (step >= 0) {
      // The values of the step's chunk stand, and
      ptx::copy_async_wait<kAhead - 1>();
      ptx::named_barrier_sync(kStepBarrier, kNumThreads);  // nobody reads the chunk before any more
    }
    const int ahead = step + kAhead;
    if (ahead < num_chunks) {
      if (thread == 0) {
        copy_keys_and_operators(params, task, ahead, shared.arrived[ahead % kStages],
                                shared.keys[ahead % kStages],
                                shared.operators[ahead % kOperatorStages]);
      }
      __syncwarp();
      values.count = task.rows_in(ahead);
      stage_run<32>(shared.values[ahead % kStages][warp], lane, kChunkRows, values);
      values.first += kChunkRows * values.row_stride;
    }
    ptx::copy_async_commit();
    const int behind = step - kBehind;
    if (behind >= 0) {
      write_rows(shared.output[behind % 2][warp], TileRows{0, kChunkBlocks, task.rows_in(behind)},
                 0, rows, view.stride[1], view.stride[3], params.tokens.head_v_dim - column,
                 params.output_aligned);
      rows += kChunkRows * view.stride[1];
    }
  }
}

template <typename T, int kKeys>
__global__ void __launch_bounds__(kNumThreads, 1)
    chunk_scan_few_sm90(ChunkParams<T> params, int num_slices) {
  const int place = place_of_scan(params, num_slices);
  if (place >= params.schedule.counts->num_long) return;
  auto& shared = block_shared<FewScanShared<T, kKeys>>();
  const ScanTask task = task_of_scan(params, place, num_slices, kSliceColumns);
  if (threadIdx.x == 0) {
    for (ptx::BulkBarrier& barrier : shared.arrived) ptx::bulk_barrier_init(barrier);
  }
  __syncthreads();  // the barriers stand
  // From one lane, so that the compiler knows it to be the same for a warp: products stay together.
  const int group = __shfl_sync(~0u, static_cast<int>(threadIdx.x) / kGroupThreads, 0);
  if (group == 0) {
    ptx::take_registers<kWalkRegisters>();
    walk_state(params, task, shared);
  } else if (group == 1) {
    make_outputs(params.tokens.scale, task.num_chunks(), shared);
  } else {
    ptx::give_registers<kCopyRegisters>();
    copy_and_write(params, task, shared);
  }
}

}  // namespace

template <typename T>
packproof_status launch_chunk_scan_few_sm90(const ChunkParams<T>& params, const ChunkGrids& grids,
                                            void* stream, packproof_message* message) {
  const int num_slices = (params.tokens.head_v_dim + kSliceColumns - 1) / kSliceColumns;
  return dispatch_keys(params.tokens.head_k_dim, [&]<int kKeys>() {
    if constexpr (kKeys == 64 || kKeys == 128) {
      return launch<&chunk_scan_few_sm90<T, kKeys>>(
          {.name = "chunk_scan_few_sm90",
           .grid = dim3(static_cast<unsigned>(grids.num_long * params.num_v_heads * num_slices)),
           .block = dim3(kNumThreads),
           .shared_bytes = sizeof(FewScanShared<T, kKeys>),
           .stream = stream},
          message, params, num_slices);
    } else {
      return PACKPROOF_NOT_SUPPORTED;  // check_chunk_gated_delta_rule_fwd_sm90 refuses these
    }
  });
}

template packproof_status launch_chunk_scan_few_sm90(const ChunkParams<Half>&, const ChunkGrids&,
                                                     void*, packproof_message*);
template packproof_status launch_chunk_scan_few_sm90(const ChunkParams<BFloat16>&,
                                                     const ChunkGrids&, void*, packproof_message*);

}  // namespace packproof
