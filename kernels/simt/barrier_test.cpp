#include "kernels/common/block_shared.cuh"
#include "kernels/simt/launch_for_test.h"

#include <vector>

namespace packproof::simt {
namespace {

std::string at(int line) { return "(barrier_test.cpp:" + std::to_string(line) + ")"; }

struct Tile {
  int values[1024];
};

// Each phase reads what the neighbours wrote in the phase before.
__global__ void rotate(int* out, int phases) {
  Tile& tile = block_shared<Tile>();
  const unsigned i = threadIdx.x;
  tile.values[i] = static_cast<int>(i);
  for (int phase = 0; phase < phases; ++phase) {
    __syncthreads();
    const int next = tile.values[(i + 1) % blockDim.x];
    __syncthreads();
    tile.values[i] = next;
  }
  out[blockIdx.x * blockDim.x + i] = tile.values[i];
}

TEST(Barrier, SeparatesPhases) {
  for (const uint64_t seed : {0, 1, 2, 3}) {
    const ScopedSchedule schedule(seed);
    for (const unsigned threads : {1u, 31u, 32u, 96u, 200u, 1024u}) {
      std::vector<int> out(3 * threads);
      EXPECT_EQ(fault_of<rotate>({.grid = {3}, .block = {threads}, .shared_bytes = sizeof(Tile)},
                                 out.data(), 5),
                "");
      for (unsigned i = 0; i < out.size(); ++i) {
        ASSERT_EQ(out[i], static_cast<int>((i % threads + 5) % threads));
      }
    }
  }
}

constexpr int kFaultyLine = __LINE__;

__global__ void leave_early() {
  if (threadIdx.x == 40) return;
  __syncthreads();
}

__global__ void different_barriers() {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
}

__global__ void unequal_trips() {
  for (unsigned i = 0; i <= threadIdx.x / 32; ++i) __syncthreads();
}

TEST(Barrier, NamesThreadsThatLeftEarly) {
  EXPECT_EQ(fault_of<leave_early>({.name = "k", .grid = {1}, .block = {64}}),
            "k: block (0, 0, 0): thread (0, 0, 0) waits at __syncthreads " + at(kFaultyLine + 4) +
                ", but thread (40, 0, 0) has left the kernel: the whole block must reach the same "
                "barrier");
}

TEST(Barrier, NamesDifferentBarriers) {
  EXPECT_EQ(fault_of<different_barriers>({.name = "k", .grid = {1}, .block = {64}}),
            "k: block (0, 0, 0): thread (0, 0, 0) waits at __syncthreads " + at(kFaultyLine + 9) +
                ", but thread (32, 0, 0) arrives at __syncthreads " + at(kFaultyLine + 11));
}

TEST(Barrier, NamesLoopsOfUnequalLength) {
  const std::string fault = fault_of<unequal_trips>({.name = "k", .grid = {1}, .block = {64}});
  EXPECT_NE(fault.find("thread (32, 0, 0) waits at __syncthreads"), std::string::npos) << fault;
  EXPECT_NE(fault.find("thread (0, 0, 0) has left the kernel"), std::string::npos) << fault;
}

// Every schedule finds the fault, though not always through the same two threads.
TEST(Barrier, DiagnosesUnderEverySchedule) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const ScopedSchedule schedule(seed);
    EXPECT_NE(fault_of<leave_early>({.grid = {1}, .block = {64}}), "");
    EXPECT_NE(fault_of<different_barriers>({.grid = {1}, .block = {64}}), "");
    EXPECT_NE(fault_of<unequal_trips>({.grid = {1}, .block = {64}}), "");
  }
}

}  // namespace
}  // namespace packproof::simt
