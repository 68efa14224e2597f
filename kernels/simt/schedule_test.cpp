#include "kernels/simt/schedule.h"

#include "kernels/common/block_shared.cuh"
#include "kernels/simt/launch_for_test.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <vector>

namespace packproof::simt {
namespace {

struct Log {
  unsigned* entries;
  unsigned* length;
};

__global__ void log_order(Log log) {
  for (int phase = 0; phase < 2; ++phase) {
    log.entries[atomicAdd(log.length, 1u)] = blockIdx.x * blockDim.x + threadIdx.x;
    __syncthreads();
  }
}

// Four blocks of 48 threads, two phases each, on one host thread.
std::vector<unsigned> order_under(uint64_t seed) {
  const ScopedSchedule schedule(seed);
  setenv("PACKPROOF_SIMT_THREADS", "1", 1);
  std::vector<unsigned> entries(4 * 48 * 2);
  unsigned length = 0;
  EXPECT_EQ(fault_of<log_order>({.grid = {4}, .block = {48}}, Log{entries.data(), &length}), "");
  unsetenv("PACKPROOF_SIMT_THREADS");
  EXPECT_EQ(length, entries.size());
  return entries;
}

TEST(Schedule, SeedZeroIsTheNaturalOrder) {
  const std::vector<unsigned> order = order_under(0);
  for (unsigned i = 0; i < order.size(); ++i) {
    const unsigned block = i / 96;
    EXPECT_EQ(order[i], block * 48 + i % 48);
  }
}

TEST(Schedule, SeedsChangeTheInterleavingReproducibly) {
  std::set<std::vector<unsigned>> orders;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const std::vector<unsigned> order = order_under(seed);
    EXPECT_EQ(order, order_under(seed));
    orders.insert(order);
    // Phases of a block stay apart whatever the schedule.
    for (std::size_t phase = 0; phase < 8; ++phase) {
      std::vector<unsigned> part(order.begin() + static_cast<std::ptrdiff_t>(phase) * 48,
                                 order.begin() + static_cast<std::ptrdiff_t>(phase + 1) * 48);
      std::sort(part.begin(), part.end());
      for (unsigned i = 0; i < 48; ++i) ASSERT_EQ(part[i], part[0] / 48 * 48 + i);
    }
  }
  EXPECT_EQ(orders.size(), 10u);
}

TEST(Schedule, BlockOrderIsAPermutation) {
  for (const uint64_t blocks : {1, 2, 3, 64, 210, 1000}) {
    for (uint64_t seed = 0; seed < 5; ++seed) {
      const BlockOrder order(seed, blocks);
      std::set<uint64_t> seen;
      for (uint64_t i = 0; i < blocks; ++i) seen.insert(order.block_at(i));
      EXPECT_EQ(seen.size(), blocks);
      EXPECT_EQ(*seen.rbegin(), blocks - 1);
    }
  }
  EXPECT_NE(BlockOrder(1, 1000).block_at(0), BlockOrder(2, 1000).block_at(0));
}

struct Tile {
  int values[64];
};

// The value is right in the natural order although the barrier is missing.
template <bool kWithBarrier>
__global__ void read_lower_neighbour(int* out) {
  Tile& tile = block_shared<Tile>();
  tile.values[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (kWithBarrier) __syncthreads();
  out[threadIdx.x] = tile.values[threadIdx.x / 2];
}

template <bool kWithBarrier>
bool right_under(uint64_t seed) {
  const ScopedSchedule schedule(seed);
  int out[64] = {};
  EXPECT_EQ(fault_of<read_lower_neighbour<kWithBarrier>>(
                {.grid = {1}, .block = {64}, .shared_bytes = sizeof(Tile)}, out),
            "");
  for (int i = 0; i < 64; ++i) {
    if (out[i] != i / 2) return false;
  }
  return true;
}

TEST(Schedule, ShufflingExposesAMissingBarrier) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "ThreadSanitizer reports this kernel under every schedule";
#endif
  EXPECT_TRUE(right_under<false>(0));
  for (uint64_t seed = 1; seed < 10; ++seed) EXPECT_FALSE(right_under<false>(seed));
}

TEST(Schedule, ShufflingDoesNotChangeACorrectKernel) {
  for (uint64_t seed = 0; seed < 10; ++seed) EXPECT_TRUE(right_under<true>(seed));
}

}  // namespace
}  // namespace packproof::simt
