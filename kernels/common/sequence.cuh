#pragma once

#include "kernels/common/load_store.cuh"
#include "kernels/common/platform.cuh"
#include "packproof/kernel_abi.h"

#include <cstdint>

namespace packproof {

/// Boundaries as kernels read them: packed rows follow `cu_seqlens`, dense rows are one sequence
/// per batch entry.
struct SequenceView {
  const void* cu_seqlens;  ///< [num_seqs + 1] or null (dense).
  bool cu_seqlens_is_i64;
  int64_t num_seqs;
  int64_t row_length;  ///< Tokens per batch entry, slack included.

  __device__ int64_t boundary(int64_t index) const {
    return cu_seqlens_is_i64 ? static_cast<const int64_t*>(cu_seqlens)[index]
                             : static_cast<const int32_t*>(cu_seqlens)[index];
  }
};

/// Rows first .. first + length - 1 of a batch entry.
struct SequenceRows {
  int64_t batch;
  int64_t first;
  int64_t length;
};

inline SequenceView sequence_view(const packproof_packing& packing, int64_t row_length) {
  return {packing.cu_seqlens, packing.cu_seqlens_dtype == PACKPROOF_I64, packing.num_seqs,
          row_length};
}

__device__ inline SequenceRows rows_of(const SequenceView& view, int64_t sequence) {
  if (view.cu_seqlens == nullptr) return {sequence, 0, view.row_length};
  const int64_t first = view.boundary(sequence);
  return {0, first, view.boundary(sequence + 1) - first};
}

/// Where the states of a sequence stand in a pool: by `state_indices` where they are given, else in
/// the sequence's own place. -1: nowhere.
__device__ inline int64_t slot_of(const StridedView<const int32_t, 1>& state_indices,
                                  int64_t sequence) {
  return state_indices.data != nullptr ? *state_indices.at(sequence) : sequence;
}

/// The sequence that holds a row, or -1 for a row past the last boundary (slack).
__device__ inline int64_t sequence_at(const SequenceView& view, int64_t batch, int64_t row) {
  if (view.cu_seqlens == nullptr) return batch;
  // The last n with cu_seqlens[n] <= row: empty sequences share their boundary with the next one.
  int64_t low = 0;
  int64_t high = view.num_seqs;
  while (low < high) {
    const int64_t middle = low + (high - low + 1) / 2;
    if (view.boundary(middle) <= row) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low < view.num_seqs ? low : -1;
}

}  // namespace packproof
