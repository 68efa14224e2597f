#include "kernels/common/block_shared.cuh"
#include "kernels/simt/launch_for_test.h"

#include <cstdint>
#include <vector>

namespace packproof::simt {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

struct Tile {
  float values[37];
};

__global__ void copy_then_write(uint32_t* seen) {
  Tile& tile = block_shared<Tile>();
  seen[blockIdx.x * 37 + threadIdx.x] = __float_as_uint(tile.values[threadIdx.x]);
  tile.values[threadIdx.x] = 1.0f;
}

TEST(SharedArena, StartsEveryBlockWithNanBytes) {
  std::vector<uint32_t> seen(100 * 37);
  ASSERT_EQ(fault_of<copy_then_write>({.grid = {100}, .block = {37}, .shared_bytes = sizeof(Tile)},
                                      seen.data()),
            "");
  for (const uint32_t bits : seen) ASSERT_EQ(bits, 0xffffffffu);
}

__global__ void write_at(int index, unsigned thread) {
  Tile& tile = block_shared<Tile>();
  __syncthreads();
  float* const values = tile.values;
  if (threadIdx.x == thread) values[index] = 0.0f;
  __syncthreads();
}

std::string fault_of_write_at(int index) {
  return fault_of<write_at>({.name = "k", .grid = {2}, .block = {64}, .shared_bytes = sizeof(Tile)},
                            index, 33u);
}

TEST(SharedArena, NamesTheThreadThatWritesOutside) {
  if (kAddressSanitizer) GTEST_SKIP() << "AddressSanitizer reports these accesses itself";
  const std::string expected =
      "k: block (0, 0, 0): thread (33, 0, 0) wrote outside the block's 148 bytes of shared memory";
  EXPECT_EQ(fault_of_write_at(36), "");
  EXPECT_EQ(fault_of_write_at(0), "");
  EXPECT_EQ(fault_of_write_at(37), expected);
  EXPECT_EQ(fault_of_write_at(37 + 15), expected);
  EXPECT_EQ(fault_of_write_at(-1), expected);
  EXPECT_EQ(fault_of_write_at(-16), expected);
}

TEST(SharedArenaDeathTest, AddressSanitizerReportsAccessesOutside) {
  if (!kAddressSanitizer) GTEST_SKIP() << "needs AddressSanitizer";
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(fault_of_write_at(37), "use-after-poison");
  EXPECT_DEATH(fault_of_write_at(-1), "use-after-poison");
}

TEST(SharedArena, NamesALaunchWithTooFewBytes) {
  uint32_t seen[37];
  EXPECT_EQ(
      fault_of<copy_then_write>({.name = "k", .grid = {1}, .block = {37}, .shared_bytes = 64},
                                seen),
      "k: block (0, 0, 0): thread (0, 0, 0) uses 148 bytes of shared memory, but the launch asked "
      "for 64");
}

}  // namespace
}  // namespace packproof::simt
