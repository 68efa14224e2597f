#include "kernels/simt/atomics.h"

#include "kernels/common/block_shared.cuh"
#include "kernels/simt/launch_for_test.h"

#include <cstdint>

namespace packproof::simt {
namespace {

struct Counters {
  int sum;
  unsigned unsigned_sum;
  unsigned long long wide_sum;
  float float_sum;
  double double_sum;
  int largest, smallest;
  unsigned exchanged;
};

__global__ void update(Counters* counters) {
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  atomicAdd(&counters->sum, -i);
  atomicAdd(&counters->unsigned_sum, 3u);
  atomicAdd(&counters->wide_sum, 1ull << 32);
  atomicAdd(&counters->float_sum, 0.5f);
  atomicAdd(&counters->double_sum, 0.25);
  atomicMax(&counters->largest, i ^ 1);
  atomicMin(&counters->smallest, -i);
  atomicExch(&counters->exchanged, 7u);
}

TEST(Atomics, LoseNoUpdate) {
  constexpr int kThreads = 64 * 256;
  Counters counters{};
  ASSERT_EQ(fault_of<update>({.grid = {64}, .block = {256}}, &counters), "");
  EXPECT_EQ(counters.sum, -kThreads / 2 * (kThreads - 1));
  EXPECT_EQ(counters.unsigned_sum, 3u * kThreads);
  EXPECT_EQ(counters.wide_sum, (1ull << 32) * kThreads);
  EXPECT_EQ(counters.float_sum, 0.5f * kThreads);  // Exact: multiples of 1/2 below 2^23.
  EXPECT_EQ(counters.double_sum, 0.25 * kThreads);
  EXPECT_EQ(counters.largest, kThreads - 1);
  EXPECT_EQ(counters.smallest, -(kThreads - 1));
  EXPECT_EQ(counters.exchanged, 7u);
}

struct Locked {
  int lock;
  int count;
};

// The holder gives way inside the critical section, so the others spin; they must not hang.
__global__ void count_under_lock(int* out) {
  Locked& locked = block_shared<Locked>();
  if (threadIdx.x == 0) locked = {0, 0};
  __syncthreads();
  while (atomicCAS(&locked.lock, 0, 1) != 0) {
  }
  __threadfence();  // Atomics are relaxed: without fences this is a race.
  const int count = locked.count;
  yield();
  locked.count = count + 1;
  __threadfence();
  atomicExch(&locked.lock, 0);
  __syncthreads();
  if (threadIdx.x == 0) *out = locked.count;
}

TEST(Atomics, SpinLocksMakeProgress) {
  for (uint64_t seed = 0; seed < 4; ++seed) {
    const ScopedSchedule schedule(seed);
    int count = 0;
    ASSERT_EQ(fault_of<count_under_lock>(
                  {.grid = {1}, .block = {70}, .shared_bytes = sizeof(Locked)}, &count),
              "");
    EXPECT_EQ(count, 70);
  }
}

}  // namespace
}  // namespace packproof::simt
