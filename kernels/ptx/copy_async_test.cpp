#include "kernels/ptx/copy_async.cuh"

#include "kernels/common/block_shared.cuh"
#include "kernels/simt/launch_for_test.h"

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

namespace packproof::ptx {
namespace {

using simt::fault_of;
using simt::ScopedSchedule;

struct Tile {
  alignas(16) float values[1024];
};

// Two stages in flight; each thread copies, and reads after the barrier what another one copied.
template <int kBytes>
__global__ void copy_in_stages(const float* in, float* out, int stages) {
  Tile& tile = block_shared<Tile>();
  constexpr int kFloats = kBytes / 4;
  const int width = static_cast<int>(blockDim.x) * kFloats;
  const int own = static_cast<int>(threadIdx.x) * kFloats;
  const int other = width - kFloats - own;
  for (int stage = 0; stage < stages + 1; ++stage) {
    if (stage < stages) {
      copy_async<kBytes>(&tile.values[stage % 2 * width + own], in + stage * width + own);
    }
    copy_async_commit();
    if (stage == 0) continue;
    copy_async_wait<1>();
    __syncthreads();
    for (int i = 0; i < kFloats; ++i) {
      out[(stage - 1) * width + other + i] = tile.values[(stage - 1) % 2 * width + other + i];
    }
    __syncthreads();
  }
}

template <int kBytes>
void expect_copied() {
  constexpr int kCount = 64 * kBytes / 4 * 5;
  alignas(16) float in[kCount];
  for (int i = 0; i < kCount; ++i) in[i] = static_cast<float>(i);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const ScopedSchedule schedule(seed);
    std::vector<float> out(kCount);
    const std::string fault =
        fault_of<copy_in_stages<kBytes>>({.grid = {1}, .block = {64}, .shared_bytes = sizeof(Tile)},
                                         static_cast<const float*>(in), out.data(), 5);
    ASSERT_EQ(fault, "");
    for (int i = 0; i < kCount; ++i) ASSERT_EQ(out[static_cast<std::size_t>(i)], in[i]);
  }
}

TEST(CopyAsync, BringsDataOfEverySize) {
  expect_copied<4>();
  expect_copied<8>();
  expect_copied<16>();
}

__global__ void copy_partly(const float* in, float* out, int source_bytes) {
  Tile& tile = block_shared<Tile>();
  copy_async<16>(tile.values, in, source_bytes);
  copy_async_commit();
  copy_async_wait<0>();
  for (int i = 0; i < 5; ++i) out[i] = tile.values[i];
}

TEST(CopyAsync, FillsTheRestWithZeros) {
  alignas(16) float in[4] = {1, 2, 3, 4};
  for (const uint64_t seed : {0, 2}) {
    const ScopedSchedule schedule(seed);
    for (int floats = 0; floats <= 4; ++floats) {
      float out[5] = {};
      ASSERT_EQ(fault_of<copy_partly>({.grid = {1}, .block = {1}, .shared_bytes = sizeof(Tile)},
                                      static_cast<const float*>(in), static_cast<float*>(out),
                                      4 * floats),
                "");
      for (int i = 0; i < 4; ++i) EXPECT_EQ(out[i], i < floats ? in[i] : 0.0f);
      EXPECT_TRUE(std::isnan(out[4]));
    }
  }
}

#if !defined(__SANITIZE_THREAD__)  // It reports these reads: they are the fault in question.
struct Seen {
  float before_wait[3];
  float after_first[3];
  float after_second[3];
};

__global__ void observe_groups(const float* in, Seen* seen) {
  Tile& tile = block_shared<Tile>();
  for (int group = 0; group < 3; ++group) {
    copy_async<4>(&tile.values[group], &in[group]);
    if (group < 2) copy_async_commit();  // The third copy is in no group yet.
  }
  for (int i = 0; i < 3; ++i) seen->before_wait[i] = tile.values[i];
  copy_async_wait<1>();
  for (int i = 0; i < 3; ++i) seen->after_first[i] = tile.values[i];
  copy_async_wait<0>();
  for (int i = 0; i < 3; ++i) seen->after_second[i] = tile.values[i];
}

Seen groups_under(uint64_t seed) {
  const ScopedSchedule schedule(seed);
  const float in[3] = {1, 2, 3};
  Seen seen{};
  EXPECT_EQ(fault_of<observe_groups>({.grid = {1}, .block = {1}, .shared_bytes = sizeof(Tile)},
                                     static_cast<const float*>(in), &seen),
            "");
  return seen;
}

TEST(CopyAsync, CompletesOnlyAtTheMatchingWait) {
  const Seen seen = groups_under(0);
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(std::isnan(seen.before_wait[i]));
    EXPECT_EQ(std::isnan(seen.after_first[i]), i >= 1);
    EXPECT_EQ(std::isnan(seen.after_second[i]), i >= 2);
  }
  EXPECT_EQ(seen.after_second[0], 1.0f);
  EXPECT_EQ(seen.after_second[1], 2.0f);
}

TEST(CopyAsync, CompletesAtOnceInTheOtherMode) {
  const Seen seen = groups_under(2);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(seen.before_wait[i], static_cast<float>(i + 1));
}
#endif

__global__ void copy_from(const float* in, int offset, int source_bytes, int destination) {
  Tile& tile = block_shared<Tile>();
  copy_async<16>(&tile.values[destination], in + offset, source_bytes);
}

TEST(CopyAsync, NamesArgumentsThatItCannotTake) {
  const LaunchConfig config{.name = "k", .grid = {1}, .block = {1}, .shared_bytes = sizeof(Tile)};
  alignas(16) float values[8] = {};
  const float* const in = values;
  EXPECT_EQ(fault_of<copy_from>(config, in, 4, 16, 1020), "");
  EXPECT_NE(
      fault_of<copy_from>(config, in, 0, 16, 1024).find("calls copy_async (copy_async_test.cpp:"),
      std::string::npos);
  EXPECT_NE(fault_of<copy_from>(config, in, 0, 16, 2).find("not aligned to 16 bytes"),
            std::string::npos);
  EXPECT_NE(fault_of<copy_from>(config, in, 1, 16, 0).find("source that is not aligned"),
            std::string::npos);
  EXPECT_NE(fault_of<copy_from>(config, in, 0, 17, 0).find("17 source bytes; expected 0 to 16"),
            std::string::npos);
}

}  // namespace
}  // namespace packproof::ptx
