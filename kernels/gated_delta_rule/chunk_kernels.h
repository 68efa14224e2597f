#pragma once

#include "kernels/common/load_store.cuh"
#include "kernels/common/sequence.cuh"
#include "kernels/gated_delta_rule/chunk_operators.cuh"
#include "kernels/gated_delta_rule/chunk_schedule.cuh"
#include "kernels/gated_delta_rule/token_tile.cuh"
#include "packproof/kernel_abi.h"

#include <cstdint>

namespace packproof {

// The kernels of the chunked delta rule as their launches see each other.

/// Normalised or aligned copies of q and k, one chunk of one key head each: [64, keys] with zeros
/// where there is no token or key, row by row or as KeyPieces.
template <typename T>
struct KeyCopies {
  T* data;  ///< Null: the kernels read q and k themselves.
  int keys;
  bool in_pieces;

  __device__ T* q(int64_t chunk_head) const { return data + 2 * chunk_head * kChunkRows * keys; }

  __device__ T* k(int64_t chunk_head) const { return q(chunk_head) + int64_t{kChunkRows} * keys; }
};

template <typename T, int kKeys>
struct KeyPieces {
  PieceTile<T, kKeys> q, k;
};

template <typename T>
struct ChunkParams {
  DeltaRuleTokens<T> tokens;
  SequenceView sequences;
  StridedView<const float, 4> initial_state;
  StridedView<T, 4> output;
  StridedView<float, 4> final_state;
  StridedView<const int32_t, 1> state_indices;  ///< Slots in both, where they are one pool.
  Schedule schedule;
  ChunkOperators<T>* operators;  ///< [chunk, value head] of sequences of several chunks.
  KeyCopies<T> key_copies;       ///< [chunk, key head] of them.
  int num_k_heads;
  int num_v_heads;
  bool keys_aligned;  ///< q and k, v, output: 16-byte pieces may be read or written.
  bool values_aligned;
  bool output_aligned;
};

/// Grids may be larger than the schedule turns out; the surplus blocks leave.
struct ChunkGrids {
  int64_t num_long;
  int64_t num_chunks;
  int64_t num_windows;
  int64_t num_token_runs;
};

/// The schedule's counts from boundaries that the host can read.
ScheduleCounts count_on_host(const SequenceLengths& lengths);

packproof_status launch_chunk_schedule(const SequenceLengths& lengths, const Schedule& schedule,
                                       void* stream, packproof_message* message);

template <typename T>
packproof_status launch_chunk_prep(const ChunkParams<T>& params, const ChunkGrids& grids,
                                   void* stream, packproof_message* message);

template <typename T>
packproof_status launch_chunk_scan(const ChunkParams<T>& params, const ChunkGrids& grids,
                                   void* stream, packproof_message* message);

/// On sm_90, keys in tiles of 64 and 128; key_copies must be there, in pieces.
template <typename T>
packproof_status launch_chunk_scan_sm90(const ChunkParams<T>& params, const ChunkGrids& grids,
                                        void* stream, packproof_message* message);

/// The same where blocks have a processor each; launch_chunk_scan_sm90 chooses it.
template <typename T>
packproof_status launch_chunk_scan_few_sm90(const ChunkParams<T>& params, const ChunkGrids& grids,
                                            void* stream, packproof_message* message);

template <typename T>
packproof_status launch_chunk_window(const ChunkParams<T>& params, const ChunkGrids& grids,
                                     void* stream, packproof_message* message);

template <typename T>
packproof_status launch_chunk_tokens(const ChunkParams<T>& params, const ChunkGrids& grids,
                                     void* stream, packproof_message* message);

/// Calls run.operator()<kKeys>() with the columns of a tile that holds head_k_dim keys.
template <typename Run>
packproof_status dispatch_keys(int64_t head_k_dim, Run run) {
  if (head_k_dim <= 32) return run.template operator()<32>();
  if (head_k_dim <= 64) return run.template operator()<64>();
  if (head_k_dim <= 128) return run.template operator()<128>();
  return run.template operator()<256>();
}

}  // namespace packproof
