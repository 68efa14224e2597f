#include "kernels/ptx/load_matrix.cuh"

#include "kernels/common/block_shared.cuh"
#include "kernels/simt/launch_for_test.h"

#include <cstdint>
#include <string>

namespace packproof::ptx {
namespace {

using simt::fault_of;

struct Tile {
  alignas(16) uint16_t elements[4][8][8];  // [matrix][row][column], numbered from 0
};

template <int kMatrices, bool kTranspose>
__global__ void load(uint32_t* out) {
  Tile& tile = block_shared<Tile>();
  for (unsigned i = threadIdx.x; i < 256; i += 32) {
    (&tile.elements[0][0][0])[i] = static_cast<uint16_t>(i);
  }
  __syncwarp();
  uint32_t registers[kMatrices];
  const unsigned lane = threadIdx.x;
  const void* row = &tile.elements[lane / 8][lane % 8][0];
  if (lane >= 8 * kMatrices) row = nullptr;  // These addresses are not used.
  load_matrix<kMatrices, kTranspose>(registers, row);
  for (int m = 0; m < kMatrices; ++m) out[lane * kMatrices + m] = registers[m];
}

// "Each thread receives a fragment of a row": element (lane / 4, 2 (lane % 4)) and its neighbour.
template <int kMatrices, bool kTranspose>
void expect_fragments() {
  uint32_t out[32 * kMatrices] = {};
  const std::string fault = fault_of<load<kMatrices, kTranspose>>(
      {.grid = {1}, .block = {32}, .shared_bytes = sizeof(Tile)}, static_cast<uint32_t*>(out));
  ASSERT_EQ(fault, "");
  for (unsigned lane = 0; lane < 32; ++lane) {
    for (unsigned m = 0; m < kMatrices; ++m) {
      for (unsigned half = 0; half < 2; ++half) {
        const unsigned row = lane / 4;
        const unsigned column = 2 * (lane % 4) + half;
        const unsigned number = 64 * m + (kTranspose ? 8 * column + row : 8 * row + column);
        ASSERT_EQ(out[lane * kMatrices + m] >> (16 * half) & 0xffff, number);
      }
    }
  }
}

TEST(LoadMatrix, DistributesRows) {
  expect_fragments<1, false>();
  expect_fragments<2, false>();
  expect_fragments<4, false>();
}

TEST(LoadMatrix, DistributesColumns) {
  expect_fragments<1, true>();
  expect_fragments<2, true>();
  expect_fragments<4, true>();
}

__global__ void load_from(const void* outside, int offset) {
  Tile& tile = block_shared<Tile>();
  uint32_t registers[1];
  const void* const inside = reinterpret_cast<const char*>(&tile) + offset;
  load_matrix<1>(registers, outside != nullptr ? outside : inside);
}

TEST(LoadMatrix, NamesAddressesThatItCannotTake) {
  const LaunchConfig config{.name = "k", .grid = {1}, .block = {32}, .shared_bytes = sizeof(Tile)};
  alignas(16) char global[16] = {};
  const void* const nothing = nullptr;
  const std::string outside = fault_of<load_from>(config, static_cast<const void*>(global), 0);
  EXPECT_NE(outside.find("calls load_matrix (load_matrix_test.cpp:"), std::string::npos) << outside;
  EXPECT_NE(outside.find("outside the block's 512 bytes of shared memory"), std::string::npos)
      << outside;
  EXPECT_NE(fault_of<load_from>(config, nothing, 504), "");
  EXPECT_EQ(fault_of<load_from>(config, nothing, 496), "");
  const std::string unaligned = fault_of<load_from>(config, nothing, 8);
  EXPECT_NE(unaligned.find("not aligned to 16 bytes"), std::string::npos) << unaligned;
}

}  // namespace
}  // namespace packproof::ptx
