#pragma once

#include "kernels/gated_delta_rule/chunk_kernels.h"
#include "kernels/gated_delta_rule/chunk_state.cuh"
#include "kernels/gated_delta_rule/chunk_tile.cuh"

#include <cstdint>

namespace packproof {

// What the walks over the chunks of a sequence have in common: chunk_gated_delta_rule_scan.cu and
// chunk_gated_delta_rule_scan_sm90.cu.

/// What a block walks: one sequence, one head, columns first_column on.
struct ScanTask {
  SequenceRows rows;
  int64_t slot;  ///< Of its states.
  int32_t first_chunk;
  int head;
  int key_head;
  int first_column;

  __device__ int num_chunks() const {
    return static_cast<int>((rows.length + kChunkRows - 1) / kChunkRows);
  }

  __device__ int rows_in(int chunk) const {
    const int64_t left = rows.length - int64_t{kChunkRows} * chunk;
    return left < kChunkRows ? static_cast<int>(left) : kChunkRows;
  }

  __device__ int64_t first_row(int chunk) const { return rows.first + int64_t{kChunkRows} * chunk; }

  /// The chunk's rows of one head, and none of the sequence after it.
  template <typename T>
  __device__ RowRun<T> run(const HeadColumns<T>& columns, int chunk) const {
    return columns.run(rows.batch, first_row(chunk), rows_in(chunk));
  }
};

/// Blocks are sequences, longest first, times value heads times slices of V: the sequence's place.
template <typename T>
__device__ __forceinline__ int place_of_scan(const ChunkParams<T>& params, int num_slices) {
  const auto heads_and_slices = static_cast<unsigned>(params.num_v_heads * num_slices);
  return static_cast<int>(blockIdx.x / heads_and_slices);
}

template <typename T>
__device__ __forceinline__ ScanTask task_of_scan(const ChunkParams<T>& params, int place,
                                                 int num_slices, int slice_columns) {
  const auto heads_and_slices = static_cast<unsigned>(params.num_v_heads * num_slices);
  const int head_and_slice = static_cast<int>(blockIdx.x % heads_and_slices);
  const LongSequence& sequence = params.schedule.longest_first[place];
  const int head = head_and_slice / num_slices;
  return {rows_of(params.sequences, sequence.sequence),
          slot_of(params.state_indices, sequence.sequence),
          sequence.first_chunk,
          head,
          head / params.tokens.heads_per_group,
          head_and_slice % num_slices * slice_columns};
}

/// Columns first_column on of v.
template <typename T>
__device__ __forceinline__ HeadColumns<T> values_of(const ChunkParams<T>& params,
                                                    const ScanTask& task, int first_column) {
  return {params.tokens.v, task.head, first_column, params.tokens.head_v_dim - first_column,
          params.values_aligned};
}

/// Columns first_column on of v in rows 0 .. num_rows - 1 of a tile, zeros where there is no token, by
/// threads 0 .. kThreads - 1. The caller commits and waits.
template <int kThreads, typename T, typename ValueTile>
__device__ __forceinline__ void stage_values(const ChunkParams<T>& params, const ScanTask& task,
                                             int chunk, int thread, int num_rows, int first_column,
                                             ValueTile& tile) {
  const HeadColumns<T> columns = values_of(params, task, first_column);
  stage_run<kThreads>(tile, thread, num_rows, task.run(columns, chunk));
}

}  // namespace packproof
