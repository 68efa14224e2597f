#include "kernels/simt/launch_for_test.h"

#include <cstdlib>
#include <stdexcept>
#include <vector>

namespace packproof::simt {
namespace {

__global__ void count_visits(unsigned* visits) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  atomicAdd(&visits[block * threads + thread], 1u);
}

TEST(Launch, RunsEveryThreadOfEveryBlockOnce) {
  for (const uint64_t seed : {0, 1, 2}) {
    const ScopedSchedule schedule(seed);
    std::vector<unsigned> visits(5 * 3 * 2 * 7 * 5 * 3);
    EXPECT_EQ(fault_of<count_visits>({.grid = {5, 3, 2}, .block = {7, 5, 3}}, visits.data()), "");
    for (const unsigned count : visits) ASSERT_EQ(count, 1u);
  }
}

TEST(Launch, RunsThousandsOfBlocks) {
  std::vector<unsigned> visits(20000 * 32);
  EXPECT_EQ(fault_of<count_visits>({.grid = {20000}, .block = {32}}, visits.data()), "");
  for (const unsigned count : visits) ASSERT_EQ(count, 1u);
}

TEST(Launch, RunsTheLargestBlock) {
  std::vector<unsigned> visits(1024);
  EXPECT_EQ(fault_of<count_visits>({.grid = {1}, .block = {1024}}, visits.data()), "");
  for (const unsigned count : visits) ASSERT_EQ(count, 1u);
}

TEST(Launch, UsesAsManyHostThreadsAsAsked) {
  for (const char* threads : {"1", "3", "8"}) {
    setenv("PACKPROOF_SIMT_THREADS", threads, 1);
    std::vector<unsigned> visits(100 * 64);
    EXPECT_EQ(fault_of<count_visits>({.grid = {100}, .block = {64}}, visits.data()), "");
    for (const unsigned count : visits) ASSERT_EQ(count, 1u);
  }
  unsetenv("PACKPROOF_SIMT_THREADS");
}

struct Params {
  int* out;
  int values[40];
};

// A kernel may write to its parameters; they are its own copy.
__global__ void change_params(Params params) {
  params.values[0] += 1 + static_cast<int>(threadIdx.x);
  params.out[threadIdx.x] = params.values[0] + params.values[39];
}

TEST(Launch, PassesArgumentsByValue) {
  int out[4] = {};
  Params params{.out = out, .values = {}};
  params.values[0] = 100;
  params.values[39] = 1000;
  EXPECT_EQ(fault_of<change_params>({.grid = {1}, .block = {4}}, params), "");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(out[i], 1101 + i);
}

std::string refusal_of(const LaunchConfig& config) {
  packproof_message message{};
  unsigned* const nothing = nullptr;
  EXPECT_EQ(launch<count_visits>(config, &message, nothing), PACKPROOF_INVALID_ARGUMENT);
  EXPECT_EQ(launch<count_visits>(config, nullptr, nothing), PACKPROOF_INVALID_ARGUMENT);
  return message.text;
}

TEST(Launch, RefusesWhatCudaRefuses) {
  EXPECT_EQ(refusal_of({.name = "k", .grid = {1}, .block = {1025}}),
            "k: expected 1 to 1024 threads in a block, found 1025");
  EXPECT_EQ(refusal_of({.name = "k", .grid = {1}, .block = {0}}),
            "k: expected 1 to 1024 threads in a block, found 0");
  EXPECT_EQ(refusal_of({.name = "k", .grid = {1}, .block = {1, 1, 65}}),
            "k: expected 1 to 64 threads in z, found 65");
  EXPECT_EQ(refusal_of({.name = "k", .grid = {0}, .block = {1}}),
            "k: expected 1 to 2147483647 blocks in x, found 0");
  EXPECT_EQ(refusal_of({.name = "k", .grid = {1, 65536}, .block = {1}}),
            "k: expected 1 to 65535 blocks in y, found 65536");
  EXPECT_EQ(refusal_of({.name = "k", .grid = {1, 1, 65536}, .block = {1}}),
            "k: expected 1 to 65535 blocks in z, found 65536");
  EXPECT_EQ(refusal_of({.name = "k", .grid = {1}, .block = {1}, .shared_bytes = 227 * 1024 + 1}),
            "k: expected 1 to 232448 shared bytes, found 232449");
}

__global__ void throw_in_block(unsigned block) {
  if (blockIdx.x >= block && threadIdx.x == 2) throw std::runtime_error("no such value");
  __syncthreads();
}

__global__ void throw_a_number() { throw 7; }

TEST(Launch, ReportsEscapedExceptions) {
  EXPECT_EQ(fault_of<throw_in_block>({.name = "thrower", .grid = {2}, .block = {4}}, 1u),
            "thrower: block (1, 0, 0): thread (2, 0, 0) lets an exception escape: no such value");
  EXPECT_EQ(fault_of<throw_a_number>({.name = "k", .grid = {1}, .block = {1}}),
            "k: block (0, 0, 0): thread (0, 0, 0) lets an exception escape: not a std::exception");
}

// Which of many faults is reported depends neither on the number of host threads nor on their speed.
TEST(Launch, ReportsTheFirstFaultOfTheSchedule) {
  for (const char* threads : {"1", "2", "8"}) {
    setenv("PACKPROOF_SIMT_THREADS", threads, 1);
    for (int repeat = 0; repeat < 10; ++repeat) {
      EXPECT_EQ(fault_of<throw_in_block>({.name = "k", .grid = {300}, .block = {4}}, 17u),
                "k: block (17, 0, 0): thread (2, 0, 0) lets an exception escape: no such value");
    }
  }
  unsetenv("PACKPROOF_SIMT_THREADS");
}

TEST(Launch, WorksAfterFaults) {
  for (int repeat = 0; repeat < 200; ++repeat) {
    EXPECT_NE(fault_of<throw_in_block>({.grid = {4}, .block = {128}}, 2u), "");
  }
  std::vector<unsigned> visits(50 * 128);
  EXPECT_EQ(fault_of<count_visits>({.grid = {50}, .block = {128}}, visits.data()), "");
  for (const unsigned count : visits) ASSERT_EQ(count, 1u);
}

__attribute__((noinline)) int descend(volatile int* sink, int depth) {
  volatile int frame[256];
  frame[depth % 256] = depth;
  *sink = frame[depth % 256];
  return depth == 0 ? 0 : descend(sink, depth - 1) + *sink;
}

__global__ void overflow_stack(volatile int* sink) { *sink = descend(sink, 1 << 20); }

TEST(LaunchDeathTest, EndsTheProcessOnStackOverflow) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  int sink = 0;
  volatile int* const pointer = &sink;
  EXPECT_DEATH(fault_of<overflow_stack>({.grid = {1}, .block = {1}}, pointer), "");
}

}  // namespace
}  // namespace packproof::simt
