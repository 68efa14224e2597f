#pragma once

#include "kernels/common/platform.cuh"
#include "kernels/gated_delta_rule/chunk_tile.cuh"

#include <cstdint>

namespace packproof {

// How the chunked rule splits a pack. A sequence of more than 64 rows is cut into chunks of 64 from
// its own start; consecutive sequences of at most 64 rows share windows of 64 rows, each from a
// multiple of 16 on. Without states, neighbouring sequences of one token share runs of up to 64. What
// a sequence computes depends on its own length alone, so nothing here changes a bit of it.

/// A sequence of several chunks; its chunks are numbered from first_chunk on in the workspace.
struct LongSequence {
  int32_t sequence;
  int32_t num_chunks;
  int32_t first_chunk;
};

struct ChunkOfSequence {
  int32_t sequence;
  int32_t index;
};

/// Sequences first .. first + count - 1, 1 to 4 of them.
struct Window {
  int32_t first;
  int32_t count;
};

/// Sequences first .. first + count - 1 of one token each, 1 to 64 of them.
struct TokenRun {
  int32_t first;
  int32_t count;
};

struct ScheduleCounts {
  int32_t num_long;
  int32_t num_chunks;
  int32_t num_windows;
  int32_t num_token_runs;
};

/// The schedule in device memory, written by chunk_schedule.
struct Schedule {
  ScheduleCounts* counts;
  LongSequence* in_order;       ///< By sequence, hence by first_chunk.
  LongSequence* longest_first;  ///< The same, nearly sorted by falling length.
  ChunkOfSequence* chunks;
  Window* windows;
  TokenRun* token_runs;
};

inline constexpr int kMinScheduleThreads = 256;  ///< They share the list of chunks, too.
inline constexpr int kMaxScheduleThreads = 1024;
inline constexpr int kSequencesPerThread = 32;  ///< Or more, where there are too many.

/// Lengths of sequences where both the host and the device read them.
struct SequenceLengths {
  const void* cu_seqlens;  ///< Null: dense.
  bool cu_seqlens_is_i64;
  int64_t num_seqs;
  int64_t row_length;
  bool has_states;  ///< Without them nothing of a sequence outlives its only token.

  __host__ __device__ int64_t boundary(int64_t index) const {
    return cu_seqlens_is_i64 ? static_cast<const int64_t*>(cu_seqlens)[index]
                             : static_cast<const int32_t*>(cu_seqlens)[index];
  }

  __host__ __device__ int64_t length(int64_t sequence) const {
    if (cu_seqlens == nullptr) return row_length;
    return boundary(sequence + 1) - boundary(sequence);
  }
};

/// Windows and runs do not reach over the ranges of two threads: each walks its own sequences alone.
__host__ __device__ inline int schedule_threads(int64_t num_seqs) {
  const int64_t needed = (num_seqs + kSequencesPerThread - 1) / kSequencesPerThread;
  const int64_t full_warps = (needed + 31) / 32 * 32;
  if (full_warps < kMinScheduleThreads) return kMinScheduleThreads;
  return full_warps < kMaxScheduleThreads ? static_cast<int>(full_warps) : kMaxScheduleThreads;
}

/// Calls visit.long_sequence(n, num_chunks), visit.window(first, count) and
/// visit.token_run(first, count) for the sequences of one thread, in order.
template <typename Visit>
__host__ __device__ void walk_sequences(const SequenceLengths& lengths, int thread, int num_threads,
                                        Visit& visit) {
  const int64_t share = (lengths.num_seqs + num_threads - 1) / num_threads;
  const int64_t per_thread = share < kSequencesPerThread ? kSequencesPerThread : share;
  const int64_t begin = thread * per_thread;
  const int64_t end = begin + per_thread < lengths.num_seqs ? begin + per_thread : lengths.num_seqs;
  int64_t open = begin;  // First sequence of the window or run that is being filled.
  int blocks = 0;        // Of that window; 0: none is open.
  int tokens = 0;        // Of that run; 0: none is open.
  for (int64_t n = begin; n < end; ++n) {
    const int64_t length = lengths.length(n);
    const bool is_long = length > kChunkRows;
    const bool is_token = length == 1 && !lengths.has_states;
    if (tokens > 0 && (!is_token || tokens == kChunkRows)) {
      visit.token_run(open, tokens);
      tokens = 0;
    }
    if (blocks > 0 && (is_long || is_token || blocks + blocks_of(length) > kChunkBlocks)) {
      visit.window(open, n - open);
      blocks = 0;
    }
    if (is_long) {
      visit.long_sequence(n, (length + kChunkRows - 1) / kChunkRows);
      continue;
    }
    if (blocks == 0 && tokens == 0) open = n;
    if (is_token) {
      ++tokens;
    } else {
      blocks += blocks_of(length);
    }
  }
  if (tokens > 0) visit.token_run(open, tokens);
  if (blocks > 0) visit.window(open, end - open);
}

}  // namespace packproof
