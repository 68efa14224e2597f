#include "kernels/ptx/named_barrier.cuh"

#include "kernels/common/block_shared.cuh"
#include "kernels/simt/launch_for_test.h"

#include <string>
#include <vector>

namespace packproof::ptx {
namespace {

using simt::fault_of;
using simt::ScopedSchedule;

struct Stages {
  int values[2][32];
};

// Warp 0 produces; warps 1 and 2 consume. Barriers 1, 2: stage filled; 3, 4: stage free.
__global__ void produce_and_consume(int* out, int rounds) {
  Stages& stages = block_shared<Stages>();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  int sum = 0;
  for (int round = 0; round < rounds; ++round) {
    const int stage = round % 2;
    if (warp == 0) {
      if (round >= 2) named_barrier_sync(3 + stage, 96);
      stages.values[stage][lane] = round * 100 + lane;
      named_barrier_arrive(1 + stage, 96);
    } else {
      named_barrier_sync(1 + stage, 96);
      sum += stages.values[stage][31 - lane];
      if (round + 2 < rounds) named_barrier_arrive(3 + stage, 96);
    }
  }
  out[threadIdx.x] = sum;
}

TEST(NamedBarrier, HandsStagesFromProducerToConsumers) {
  constexpr int kRounds = 9;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const ScopedSchedule schedule(seed);
    std::vector<int> out(96);
    const std::string fault = fault_of<produce_and_consume>(
        {.grid = {1}, .block = {96}, .shared_bytes = sizeof(Stages)}, out.data(), kRounds);
    ASSERT_EQ(fault, "");
    for (int thread = 32; thread < 96; ++thread) {
      const int expected = 100 * kRounds * (kRounds - 1) / 2 + kRounds * (31 - thread % 32);
      ASSERT_EQ(out[static_cast<std::size_t>(thread)], expected);
    }
  }
}

__global__ void meet_with(int id, int count) { named_barrier_sync(id, count); }

__global__ void meet_in_part() {
  if (threadIdx.x < 32) named_barrier_sync(1, 64);
}

__global__ void meet_in_half_warps() {
  if (threadIdx.x % 32 < 16) named_barrier_sync(1, 32);
}

__global__ void meet_with_two_counts() { named_barrier_sync(1, threadIdx.x < 32 ? 64 : 32); }

__global__ void arrive_twice() {
  if (threadIdx.x == 0) named_barrier_arrive(1, 64);
  named_barrier_arrive(1, 64);
}

TEST(NamedBarrier, NamesWhatIsUndefined) {
  const LaunchConfig config{.name = "k", .grid = {1}, .block = {64}};
  const auto expect = [](const std::string& fault, const std::string& part) {
    EXPECT_NE(fault.find(part), std::string::npos) << fault;
  };
  EXPECT_EQ(fault_of<meet_with>(config, 15, 64), "");
  expect(fault_of<meet_with>(config, 16, 64), "expected a barrier of 0 to 15");
  expect(fault_of<meet_with>(config, 1, 40), "a multiple of 32 up to the block's 64 threads");
  expect(fault_of<meet_with>(config, 1, 96), "a multiple of 32 up to the block's 64 threads");
  expect(fault_of<meet_in_part>(config), "for 64 threads at barrier 1, but only 32 arrive");
  expect(fault_of<meet_in_half_warps>(config), "warp 1 sent only a part of its lanes, 0x0000ffff");
  expect(fault_of<meet_with_two_counts>(config), "of the same number with another count");
  expect(fault_of<arrive_twice>(config), "arrives twice at barrier 1");
}

}  // namespace
}  // namespace packproof::ptx
