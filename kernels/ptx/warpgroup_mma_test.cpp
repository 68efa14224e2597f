#include "kernels/ptx/warpgroup_mma.cuh"

#include "kernels/common/block_shared.cuh"
#include "kernels/ptx/mma.cuh"
#include "kernels/simt/launch_for_test.h"

#include <cstdint>
#include <string>
#include <vector>

namespace packproof::ptx {
namespace {

using simt::fault_of;
using simt::ScopedSchedule;

constexpr int kDepth = 16;
constexpr int kRows = 64;
constexpr int kThreads = 128;
constexpr int kMaxColumns = 128;
constexpr uint64_t kAtOnce = 2;  // Seeds: by bit 1 products happen at once, else when waited for.
const LaunchConfig kLaunch{
    .name = "k", .grid = {1}, .block = {kThreads}, .shared_bytes = 2 * 64 * kMaxColumns};

struct Tile {
  alignas(128) unsigned char bytes[2 * 64 * kMaxColumns];
};

/// Bytes of b [16, n] in shared memory between core matrices along k and along n.
struct Layout {
  int k_step;
  int n_step;
};

Layout side_by_side(int columns) { return {16 * columns, 128}; }

Layout by_depth(int) { return {128, 256}; }

Layout with_gaps(int columns) { return {16 * columns + 16, 128}; }

struct Problem {
  std::vector<uint16_t> a = std::vector<uint16_t>(kRows * kDepth);        // [64, 16]
  std::vector<uint16_t> b = std::vector<uint16_t>(kDepth * kMaxColumns);  // [16, n]
  std::vector<float> d = std::vector<float>(kRows * kMaxColumns);         // [64, n]
};

/// Integers of at most 7 bits, exact in bf16 and f16; sums are exact in every order.
Problem integers(bool bfloat16) {
  Problem problem;
  uint32_t state = 7;
  const auto next = [&] { return (state = state * 1664525u + 1013904223u) >> 8; };
  const auto number = [&]() -> uint16_t {
    const auto value = static_cast<float>(next() % 129) - 64.0f;
    return bfloat16 ? from_float<BFloat16>(value).bits : from_float<Half>(value).bits;
  };
  for (uint16_t& bits : problem.a) bits = number();
  for (uint16_t& bits : problem.b) bits = number();
  for (float& value : problem.d) value = static_cast<float>(next() % 4097) - 2048.0f;
  return problem;
}

/// Where the PTX manual puts register i of a thread's part of d [64, n]: row and column.
struct Position {
  int row, column;
};

__host__ __device__ Position d_of(int thread, int i) {
  return {thread / 32 * 16 + thread % 32 / 4 + (i % 4 >= 2 ? 8 : 0),
          i / 4 * 8 + thread % 4 * 2 + i % 2};
}

__host__ __device__ Position a_of(int thread, int i) {
  return {thread / 32 * 16 + thread % 32 / 4 + (i / 2 % 2 == 1 ? 8 : 0),
          thread % 4 * 2 + i % 2 + (i >= 4 ? 8 : 0)};
}

__device__ void load_left(const uint16_t* a, uint32_t (&registers)[4]) {
  for (int i = 0; i < 8; ++i) {
    const Position at = a_of(static_cast<int>(threadIdx.x), i);
    const uint32_t bits = a[at.row * kDepth + at.column];
    registers[i / 2] = i % 2 == 0 ? bits : registers[i / 2] | bits << 16;
  }
}

template <int kColumns, CoreRow kCoreRow>
__device__ SharedFactor stage_right(const uint16_t* b, Layout layout) {
  Tile& tile = block_shared<Tile>();
  for (int i = static_cast<int>(threadIdx.x); i < kDepth * kColumns; i += kThreads) {
    const int k = i / kColumns;
    const int n = i % kColumns;
    const bool along_k = kCoreRow == CoreRow::kAlongK;
    const int in_core = 16 * (along_k ? n % 8 : k % 8) + 2 * (along_k ? k % 8 : n % 8);
    unsigned char* const core = &tile.bytes[k / 8 * layout.k_step + n / 8 * layout.n_step];
    *reinterpret_cast<uint16_t*>(core + in_core) = b[i];
  }
  publish_to_warpgroup_mma();
  __syncthreads();
  return {&tile, layout.k_step, layout.n_step};
}

template <typename T, int kColumns, CoreRow kCoreRow>
__global__ void multiply(const uint16_t* a, const uint16_t* b, float* d, Layout layout, bool add) {
  const SharedFactor right = stage_right<kColumns, kCoreRow>(b, layout);
  uint32_t left[4];
  load_left(a, left);
  float registers[kColumns / 2];
  const auto place = [&](int i) -> float& {
    const Position at = d_of(static_cast<int>(threadIdx.x), i);
    return d[at.row * kColumns + at.column];
  };
  for (int i = 0; i < kColumns / 2; ++i) registers[i] = place(i);
  warpgroup_mma_fence();
  warpgroup_mma<T, kColumns, kCoreRow>(registers, left, right, add);
  warpgroup_mma_commit();
  warpgroup_mma_wait<0>(registers);
  for (int i = 0; i < kColumns / 2; ++i) place(i) = registers[i];
}

template <typename T, int kColumns, CoreRow kCoreRow>
void expect_exact_products(Layout layout) {
  Problem problem = integers(std::is_same_v<T, BFloat16>);
  const auto value = [](uint16_t bits) { return static_cast<double>(to_float(T{bits})); };
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1}, kAtOnce, kAtOnce + 1}) {
    for (const bool add : {true, false}) {
      const ScopedSchedule schedule(seed);
      std::vector<float> d(problem.d.begin(), problem.d.begin() + kRows * kColumns);
      const std::string fault = fault_of<multiply<T, kColumns, kCoreRow>>(
          kLaunch, static_cast<const uint16_t*>(problem.a.data()),
          static_cast<const uint16_t*>(problem.b.data()), d.data(), layout, add);
      ASSERT_EQ(fault, "");
      for (int row = 0; row < kRows; ++row) {
        for (int column = 0; column < kColumns; ++column) {
          const auto at = static_cast<std::size_t>(row * kColumns + column);
          double sum = add ? static_cast<double>(problem.d[at]) : 0.0;
          for (int k = 0; k < kDepth; ++k) {
            sum += value(problem.a[static_cast<std::size_t>(row * kDepth + k)]) *
                   value(problem.b[static_cast<std::size_t>(k * kColumns + column)]);
          }
          ASSERT_EQ(d[at], sum) << row << " " << column << " of " << kColumns << " seed " << seed;
        }
      }
    }
  }
}

template <typename T, CoreRow kCoreRow>
void expect_exact_products_of_every_size() {
  for (const auto layout : {side_by_side, by_depth}) {
    expect_exact_products<T, 16, kCoreRow>(layout(16));
    expect_exact_products<T, 48, kCoreRow>(layout(48));
    expect_exact_products<T, 64, kCoreRow>(layout(64));
    expect_exact_products<T, 128, kCoreRow>(layout(128));
  }
  expect_exact_products<T, 32, kCoreRow>(with_gaps(32));
}

TEST(WarpgroupMma, MultipliesIntegersExactly) {
  expect_exact_products_of_every_size<BFloat16, CoreRow::kAlongK>();
  expect_exact_products_of_every_size<Half, CoreRow::kAlongK>();
}

TEST(WarpgroupMma, MultipliesTransposedIntegersExactly) {
  expect_exact_products_of_every_size<BFloat16, CoreRow::kAlongN>();
  expect_exact_products_of_every_size<Half, CoreRow::kAlongN>();
}

__global__ void multiply_by_warps(const uint16_t* a, const uint16_t* b, float* d) {
  const int thread = static_cast<int>(threadIdx.x);
  uint32_t left[4];
  load_left(a, left);
  uint32_t right[2];
  for (int half = 0; half < 2; ++half) {
    const int k = thread % 4 * 2 + 8 * half;
    const int n = thread % 32 / 4;
    right[half] = b[k * 16 + n] | static_cast<uint32_t>(b[(k + 1) * 16 + n]) << 16;
  }
  float registers[4];
  for (int i = 0; i < 4; ++i) {
    const Position at = d_of(thread, i);
    registers[i] = d[at.row * 16 + at.column];
  }
  mma_m16n8k16_f16(registers, left, right);
  for (int i = 0; i < 4; ++i) {
    const Position at = d_of(thread, i);
    d[at.row * 16 + at.column] = registers[i];
  }
}

TEST(WarpgroupMma, RoundsAsMmaDoes) {
  for (const uint64_t seed : {0, 1}) {
    const ScopedSchedule schedule(seed);
    Problem problem = integers(false);
    for (std::size_t i = 0; i < problem.a.size(); ++i) {
      problem.a[i] = from_float<Half>(to_float(Half{problem.a[i]}) / (1.0f + 0.37f * i)).bits;
    }
    for (float& value : problem.d) value /= 3.0f;
    std::vector<float> by_warps(problem.d.begin(), problem.d.begin() + kRows * 16);
    std::vector<float> by_warpgroup = by_warps;
    const uint16_t* const a = problem.a.data();
    const uint16_t* const b = problem.b.data();
    ASSERT_EQ((fault_of<multiply<Half, 16, CoreRow::kAlongK>>(kLaunch, a, b, by_warpgroup.data(),
                                                              side_by_side(16), true)),
              "");
    ASSERT_EQ(fault_of<multiply_by_warps>(kLaunch, a, b, by_warps.data()), "");
    for (int row = 0; row < kRows; ++row) {
      for (int column = 0; column < 8; ++column) {
        ASSERT_EQ(by_warpgroup[static_cast<std::size_t>(row * 16 + column)],
                  by_warps[static_cast<std::size_t>(row * 16 + column)]);
      }
    }
  }
}

/// What a kernel does too early: nothing, or one of the three that the header forbids.
enum class Early { kNothing, kReadsResult, kWritesLeft, kWritesRight };

template <Early kEarly>
__global__ void hurry(const uint16_t* a, const uint16_t* b, float* sum) {
  const SharedFactor right = stage_right<16, CoreRow::kAlongK>(b, {256, 128});
  uint32_t left[4];
  load_left(a, left);
  float first[8] = {};
  float second[8] = {};
  warpgroup_mma_fence();
  warpgroup_mma<BFloat16, 16, CoreRow::kAlongK>(first, left, right, true);
  warpgroup_mma_commit();
  warpgroup_mma<BFloat16, 16, CoreRow::kAlongK>(second, left, right, true);
  warpgroup_mma_commit();
  warpgroup_mma_wait<1>(first);
  float result = first[0] + first[5];
  if (kEarly == Early::kReadsResult) result += second[0] + second[5];
  if (kEarly == Early::kWritesLeft) left[0] = left[1] = left[2] = left[3] = 0;
  if (kEarly == Early::kWritesRight) {
    auto* const elements = static_cast<uint16_t*>(const_cast<void*>(right.first));
    for (unsigned i = threadIdx.x; i < 256; i += kThreads) elements[i] = 0;
  }
  warpgroup_mma_wait<0>(second);
  if (kEarly != Early::kReadsResult) result += second[0] + second[5];
  sum[threadIdx.x] = result;
}

template <Early kEarly>
std::vector<float> hurried(uint64_t seed) {
  const ScopedSchedule schedule(seed);
  const Problem problem = integers(true);
  std::vector<float> sum(kThreads);
  EXPECT_EQ(fault_of<hurry<kEarly>>(kLaunch, static_cast<const uint16_t*>(problem.a.data()),
                                    static_cast<const uint16_t*>(problem.b.data()), sum.data()),
            "");
  return sum;
}

TEST(WarpgroupMma, ShowsWhatIsDoneBeforeItsWait) {
  const std::vector<float> right = hurried<Early::kNothing>(0);
  EXPECT_EQ(right, hurried<Early::kNothing>(kAtOnce));
  EXPECT_EQ(right, hurried<Early::kReadsResult>(kAtOnce));
  EXPECT_EQ(right, hurried<Early::kWritesLeft>(kAtOnce));
  EXPECT_NE(right, hurried<Early::kReadsResult>(0));
  EXPECT_NE(right, hurried<Early::kWritesLeft>(0));
#if !defined(__SANITIZE_THREAD__)  // It reports these writes: they are the fault in question.
  EXPECT_NE(right, hurried<Early::kWritesRight>(0));
#endif
}

__global__ void multiply_at(int offset, int different_lane) {
  Tile& tile = block_shared<Tile>();
  const int k_step = static_cast<int>(threadIdx.x) == different_lane ? 128 : 256;
  const uint32_t left[4] = {};
  float registers[8] = {};
  warpgroup_mma<Half, 16, CoreRow::kAlongK>(registers, left, {tile.bytes + offset, k_step, 128},
                                            true);
  warpgroup_mma_commit();
  warpgroup_mma_wait<0>(registers);
}

TEST(WarpgroupMma, NamesFactorsThatItCannotTake) {
  constexpr int kEnd = sizeof(Tile);
  EXPECT_EQ(fault_of<multiply_at>(kLaunch, kEnd - 512, -1), "");
  const std::string outside = fault_of<multiply_at>(kLaunch, kEnd - 496, -1);
  EXPECT_NE(outside.find("calls warpgroup_mma (warpgroup_mma_test.cpp:"), std::string::npos)
      << outside;
  EXPECT_NE(outside.find("bytes of shared memory"), std::string::npos) << outside;
  const std::string unaligned = fault_of<multiply_at>(kLaunch, 8, -1);
  EXPECT_NE(unaligned.find("not aligned to 16 bytes"), std::string::npos) << unaligned;
  const std::string different = fault_of<multiply_at>(kLaunch, 0, 5);
  EXPECT_NE(different.find("with another shared factor than lane 0"), std::string::npos)
      << different;
}

__global__ void multiply_without_end() {
  const Tile& tile = block_shared<Tile>();
  const uint32_t left[4] = {};
  float registers[8] = {};
  for (int i = 0; i < 65; ++i) {
    warpgroup_mma<Half, 16, CoreRow::kAlongK>(registers, left, {&tile, 256, 128}, true);
  }
}

TEST(WarpgroupMma, NamesTooManyProductsUnderWay) {
  const std::string fault = fault_of<multiply_without_end>(kLaunch);
  EXPECT_NE(fault.find("with 64 products under way already"), std::string::npos) << fault;
}

}  // namespace
}  // namespace packproof::ptx
