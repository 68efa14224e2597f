#include "kernels/simt/launch_for_test.h"

#include <cstdint>
#include <vector>

namespace packproof::simt {
namespace {

constexpr unsigned kFull = 0xffffffffu;

std::string at(int line) { return "(warp_test.cpp:" + std::to_string(line) + ")"; }

struct Shuffled {
  int up, down, exclusive_or, index;
};

__global__ void shuffle_all_ways(Shuffled* out, int operand, int width) {
  const int value = 100 + static_cast<int>(threadIdx.x);
  Shuffled& own = out[threadIdx.x];
  own.up = __shfl_up_sync(kFull, value, static_cast<unsigned>(operand), width);
  own.down = __shfl_down_sync(kFull, value, static_cast<unsigned>(operand), width);
  own.exclusive_or = __shfl_xor_sync(kFull, value, operand, width);
  own.index = __shfl_sync(kFull, value, operand, width);
}

// The programming guide's words, lane by lane: groups of `width` lanes; a source outside the group
// gives the own value, except that xor may read an earlier group; an index is taken modulo width.
TEST(Shuffle, FollowsTheDefinitionForEveryWidth) {
  for (int width = 1; width <= 32; width *= 2) {
    for (int operand = 0; operand < 32; ++operand) {
      std::vector<Shuffled> out(64);
      ASSERT_EQ(
          fault_of<shuffle_all_ways>({.grid = {1}, .block = {64}}, out.data(), operand, width), "");
      for (int thread = 0; thread < 64; ++thread) {
        const int group = thread / width * width;
        const int base = 100;
        const auto inside = [&](int source) {
          return source >= group && source < group + width ? base + source : base + thread;
        };
        EXPECT_EQ(out[thread].up, inside(thread - operand));
        EXPECT_EQ(out[thread].down, inside(thread + operand));
        const int partner = thread ^ operand;
        EXPECT_EQ(out[thread].exclusive_or, base + (partner < group + width ? partner : thread));
        EXPECT_EQ(out[thread].index, base + group + operand % width);
      }
    }
  }
}

__global__ void shuffle_wide(double* out) {
  out[threadIdx.x] = __shfl_xor_sync(kFull, 1.0 / (threadIdx.x + 3), 1);
}

TEST(Shuffle, Carries64Bits) {
  double out[32] = {};
  ASSERT_EQ(fault_of<shuffle_wide>({.grid = {1}, .block = {32}}, out), "");
  for (unsigned i = 0; i < 32; ++i) EXPECT_EQ(out[i], 1.0 / ((i ^ 1) + 3));
}

// Two halves of a warp in different branches, each with its own mask and number of meetings.
__global__ void diverge(int* out) {
  int value = static_cast<int>(threadIdx.x);
  if (threadIdx.x < 20) {
    for (int i = 0; i < 3; ++i) value = __shfl_sync(0x000fffffu, value, (value + 1) % 20);
  } else {
    value = __shfl_sync(0xfff00000u, value, 31);
  }
  __syncwarp();
  out[threadIdx.x] = __shfl_sync(kFull, value, static_cast<int>(threadIdx.x) ^ 1);
}

TEST(Shuffle, DivergedLanesMeetByMask) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const ScopedSchedule schedule(seed);
    int out[32] = {};
    ASSERT_EQ(fault_of<diverge>({.grid = {1}, .block = {32}}, out), "");
    int values[32];
    for (int i = 0; i < 32; ++i) values[i] = i < 20 ? i : 31;
    for (int round = 0; round < 3; ++round) {
      int next[20];
      for (int i = 0; i < 20; ++i) next[i] = values[(values[i] + 1) % 20];
      std::copy(next, next + 20, values);
    }
    for (int i = 0; i < 32; ++i) EXPECT_EQ(out[i], values[i ^ 1]);
  }
}

struct Votes {
  unsigned ballot;
  int any, all;
};

__global__ void vote(Votes* out, unsigned mask, unsigned predicates) {
  const unsigned lane = threadIdx.x;
  if ((mask >> lane & 1) == 0) return;
  const int predicate = static_cast<int>(predicates >> lane & 1);
  out[lane] = {__ballot_sync(mask, predicate), __any_sync(mask, predicate),
               __all_sync(mask, predicate)};
}

TEST(Vote, CountsTheLanesOfTheMask) {
  for (const unsigned mask : {kFull, 0x0000ffffu, 0x80000001u, 0x00f0f000u}) {
    for (const unsigned predicates : {0u, kFull, 0x00008001u, 0x00f0f000u}) {
      Votes out[32] = {};
      ASSERT_EQ(fault_of<vote>({.grid = {1}, .block = {32}}, out, mask, predicates), "");
      for (unsigned lane = 0; lane < 32; ++lane) {
        if ((mask >> lane & 1) == 0) continue;
        EXPECT_EQ(out[lane].ballot, mask & predicates);
        EXPECT_EQ(out[lane].any, (mask & predicates) != 0);
        EXPECT_EQ(out[lane].all, (mask & predicates) == mask);
      }
    }
  }
}

// Lanes that have left, or never existed, may be named in a mask: CUDA does not wait for them.
__global__ void outlive_others(unsigned* out) {
  if (threadIdx.x < 8) return;
  out[threadIdx.x] = __ballot_sync(kFull, 1);
}

TEST(Vote, DoesNotWaitForLanesThatLeft) {
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const ScopedSchedule schedule(seed);
    unsigned out[20] = {};
    ASSERT_EQ(fault_of<outlive_others>({.grid = {1}, .block = {20}}, out), "");
    for (unsigned lane = 8; lane < 20; ++lane) EXPECT_EQ(out[lane], 0x000fff00u);
  }
}

__global__ void omit_own_lane() { __syncwarp(0x0000000fu); }

__global__ void read_absent_lane() {
  if (threadIdx.x < 16) __shfl_down_sync(0x0000ffffu, 1, 8u);
}

__global__ void wait_for_absent_lane() {
  if (threadIdx.x < 16) __shfl_xor_sync(kFull, 1, 1);
  __syncthreads();
}

__global__ void use_different_masks() {
  if (threadIdx.x < 16) {
    __ballot_sync(0x0000ffffu, 1);
  } else {
    __ballot_sync(kFull, 1);
  }
}

__global__ void use_different_votes() {
  if (threadIdx.x < 16) {
    __any_sync(kFull, 1);
  } else {
    __all_sync(kFull, 1);
  }
}

__global__ void use_odd_width() { __shfl_xor_sync(kFull, 1, 1, 12); }

constexpr int kFirstFaultyLine = __LINE__ - 29;
constexpr LaunchConfig kOneWarp{.name = "k", .grid = {1}, .block = {32}};

TEST(WarpDiagnosis, NamesALaneOutsideItsOwnMask) {
  EXPECT_EQ(fault_of<omit_own_lane>(kOneWarp),
            "k: block (0, 0, 0): thread (4, 0, 0) calls __syncwarp " + at(kFirstFaultyLine) +
                " with mask 0x0000000f, which does not name its own lane 4");
}

TEST(WarpDiagnosis, NamesTheReadOfAnAbsentLane) {
  EXPECT_EQ(fault_of<read_absent_lane>(kOneWarp),
            "k: block (0, 0, 0): thread (8, 0, 0) reads lane 16 by __shfl_down_sync " +
                at(kFirstFaultyLine + 3) + " with mask 0x0000ffff; that lane does not take part");
}

TEST(WarpDiagnosis, NamesALaneThatWaitsElsewhere) {
  EXPECT_EQ(fault_of<wait_for_absent_lane>(kOneWarp),
            "k: block (0, 0, 0): thread (0, 0, 0) waits at __shfl_xor_sync " +
                at(kFirstFaultyLine + 7) +
                " with mask 0xffffffff, but lane 16 of the mask, thread (16, 0, 0), waits at "
                "__syncthreads " +
                at(kFirstFaultyLine + 8));
}

TEST(WarpDiagnosis, NamesDifferentMasks) {
  EXPECT_EQ(fault_of<use_different_masks>(kOneWarp), "");  // Legal: the first 16 leave before.
  const std::string fault = fault_of<use_different_votes>(kOneWarp);
  EXPECT_NE(fault.find("thread (0, 0, 0) waits at __any_sync"), std::string::npos) << fault;
  EXPECT_NE(fault.find("thread (16, 0, 0), waits at __all_sync"), std::string::npos) << fault;
}

TEST(WarpDiagnosis, NamesAWidthThatIsNoPowerOfTwo) {
  EXPECT_EQ(fault_of<use_odd_width>(kOneWarp),
            "k: block (0, 0, 0): thread (0, 0, 0) calls __shfl_xor_sync " +
                at(kFirstFaultyLine + 27) + " with width 12; expected a power of two up to 32");
}

}  // namespace
}  // namespace packproof::simt
