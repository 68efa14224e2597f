// The schedule of a pack for the chunked delta rule (chunk_schedule.cuh), from boundaries that may
// stand on the device alone: no synchronisation with the host.
//
// Mapping     one block; each thread walks its own range of consecutive sequences, twice: to count,
//             and, knowing what the threads before it found, to write.
// Order       sequences of several chunks are sorted by an eighth of a power of two of their length,
//             longest first; among equals the order is any (atomics), which no result depends on.
// Shared      18,944 bytes.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/gated_delta_rule/chunk_kernels.h"
#include "kernels/gated_delta_rule/chunk_schedule.cuh"

namespace packproof {
namespace {

constexpr int kGroup = 32;  // Threads whose counts are summed first.
constexpr int kNumBuckets = 256;

struct ScheduleShared {
  ScheduleCounts found[kMaxScheduleThreads];
  ScheduleCounts found_by_group[kMaxScheduleThreads / kGroup];
  int bucket_size[kNumBuckets];
  int next_place[kNumBuckets];
};

__host__ __device__ ScheduleCounts operator+(const ScheduleCounts& a, const ScheduleCounts& b) {
  return {a.num_long + b.num_long, a.num_chunks + b.num_chunks, a.num_windows + b.num_windows,
          a.num_token_runs + b.num_token_runs};
}

struct CountVisit {
  ScheduleCounts counts{0, 0, 0, 0};

  __host__ __device__ void long_sequence(int64_t, int64_t num_chunks) {
    counts.num_long += 1;
    counts.num_chunks += static_cast<int32_t>(num_chunks);
  }

  __host__ __device__ void window(int64_t, int64_t) { counts.num_windows += 1; }

  __host__ __device__ void token_run(int64_t, int64_t) { counts.num_token_runs += 1; }
};

struct WriteVisit {
  Schedule schedule;
  ScheduleCounts next;

  __host__ __device__ void long_sequence(int64_t n, int64_t num_chunks) {
    schedule.in_order[next.num_long] = {static_cast<int32_t>(n), static_cast<int32_t>(num_chunks),
                                        next.num_chunks};
    next.num_long += 1;
    next.num_chunks += static_cast<int32_t>(num_chunks);
  }

  __host__ __device__ void window(int64_t first, int64_t count) {
    schedule.windows[next.num_windows] = {static_cast<int32_t>(first), static_cast<int32_t>(count)};
    next.num_windows += 1;
  }

  __host__ __device__ void token_run(int64_t first, int64_t count) {
    schedule.token_runs[next.num_token_runs] = {static_cast<int32_t>(first),
                                                static_cast<int32_t>(count)};
    next.num_token_runs += 1;
  }
};

/// Falling with num_chunks: its exponent and the three bits below it.
__device__ int bucket_of(int32_t num_chunks) {
  const int exponent = 31 - __clz(num_chunks);
  const int fraction = static_cast<int>((static_cast<int64_t>(num_chunks) << 3 >> exponent) & 7);
  return kNumBuckets - 1 - (8 * exponent + fraction);
}

/// The last of `count` entries whose first_chunk is at most `chunk`.
__device__ int find_sequence(const LongSequence* in_order, int count, int chunk) {
  int low = 0;
  int high = count - 1;
  while (low < high) {
    const int middle = (low + high + 1) / 2;
    if (in_order[middle].first_chunk <= chunk) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}

__global__ void __launch_bounds__(kMaxScheduleThreads)
    chunk_schedule(SequenceLengths lengths, Schedule schedule) {
  ScheduleShared& shared = block_shared<ScheduleShared>();
  const int thread = static_cast<int>(threadIdx.x);
  const int num_threads = static_cast<int>(blockDim.x);
  const int num_groups = num_threads / kGroup;

  CountVisit count;
  walk_sequences(lengths, thread, num_threads, count);
  shared.found[thread] = count.counts;
  for (int b = thread; b < kNumBuckets; b += num_threads) shared.bucket_size[b] = 0;
  __syncthreads();  // every thread's counts stand
  for (int group = thread; group < num_groups; group += num_threads) {
    ScheduleCounts sum{0, 0, 0, 0};
    for (int i = 0; i < kGroup; ++i) sum = sum + shared.found[kGroup * group + i];
    shared.found_by_group[group] = sum;
  }
  __syncthreads();  // every group's sum stands
  ScheduleCounts before{0, 0, 0, 0};
  for (int group = 0; group < thread / kGroup; ++group) {
    before = before + shared.found_by_group[group];
  }
  for (int i = thread / kGroup * kGroup; i < thread; ++i) before = before + shared.found[i];
  WriteVisit write{schedule, before};
  walk_sequences(lengths, thread, num_threads, write);
  ScheduleCounts total{0, 0, 0, 0};
  for (int group = 0; group < num_groups; ++group) total = total + shared.found_by_group[group];
  if (thread == 0) *schedule.counts = total;
  __syncthreads();  // in_order is complete

  for (int i = thread; i < total.num_long; i += num_threads) {
    atomicAdd(&shared.bucket_size[bucket_of(schedule.in_order[i].num_chunks)], 1);
  }
  for (int chunk = thread; chunk < total.num_chunks; chunk += num_threads) {
    const LongSequence& found =
        schedule.in_order[find_sequence(schedule.in_order, total.num_long, chunk)];
    schedule.chunks[chunk] = {found.sequence, chunk - found.first_chunk};
  }
  __syncthreads();  // every bucket's size stands
  for (int b = thread; b < kNumBuckets; b += num_threads) {
    int place = 0;
    for (int i = 0; i < b; ++i) place += shared.bucket_size[i];
    shared.next_place[b] = place;
  }
  __syncthreads();  // every bucket's first place stands
  for (int i = thread; i < total.num_long; i += num_threads) {
    const LongSequence entry = schedule.in_order[i];
    const int place = atomicAdd(&shared.next_place[bucket_of(entry.num_chunks)], 1);
    schedule.longest_first[place] = entry;
  }
}

}  // namespace

ScheduleCounts count_on_host(const SequenceLengths& lengths) {
  const int num_threads = schedule_threads(lengths.num_seqs);
  CountVisit count;
  for (int thread = 0; thread < num_threads; ++thread) {
    walk_sequences(lengths, thread, num_threads, count);
  }
  return count.counts;
}

packproof_status launch_chunk_schedule(const SequenceLengths& lengths, const Schedule& schedule,
                                       void* stream, packproof_message* message) {
  return launch<&chunk_schedule>(
      {.name = "chunk_schedule",
       .grid = dim3(1),
       .block = dim3(static_cast<unsigned>(schedule_threads(lengths.num_seqs))),
       .shared_bytes = sizeof(ScheduleShared),
       .stream = stream},
      message, lengths, schedule);
}

}  // namespace packproof
