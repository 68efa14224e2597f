#include "kernels/ptx/store_matrix.cuh"

#include "kernels/common/block_shared.cuh"
#include "kernels/simt/launch_for_test.h"

#include <cstdint>
#include <string>

namespace packproof::ptx {
namespace {

using simt::fault_of;

struct Tile {
  alignas(16) uint16_t rows[32][8];
};

/// Lane L holds 8 L + 2 m and the number after it for matrix m; rows are stored last to first.
template <bool kTranspose>
__global__ void store(uint16_t* out) {
  Tile& tile = block_shared<Tile>();
  const unsigned lane = threadIdx.x;
  uint32_t registers[4];
  for (unsigned m = 0; m < 4; ++m) {
    const unsigned low = 8 * lane + 2 * m;
    registers[m] = low | (low + 1) << 16;
  }
  store_matrix<kTranspose>(registers, &tile.rows[31 - lane][0]);
  __syncwarp();
  for (unsigned i = lane; i < 256; i += 32) out[i] = tile.rows[i / 8][i % 8];
}

template <bool kTranspose>
void expect_rows() {
  uint16_t out[256] = {};
  const std::string fault = fault_of<store<kTranspose>>(
      {.grid = {1}, .block = {32}, .shared_bytes = sizeof(Tile)}, static_cast<uint16_t*>(out));
  ASSERT_EQ(fault, "");
  for (unsigned m = 0; m < 4; ++m) {
    for (unsigned row = 0; row < 8; ++row) {
      for (unsigned column = 0; column < 8; ++column) {
        // The lane that holds the element, and which of its two numbers that is.
        const unsigned along = kTranspose ? row : column;
        const unsigned across = kTranspose ? column : row;
        const unsigned lane = 4 * across + along / 2;
        ASSERT_EQ(out[8 * (31 - (8 * m + row)) + column], 8 * lane + 2 * m + along % 2)
            << m << " " << row << " " << column;
      }
    }
  }
}

TEST(StoreMatrix, GathersRows) { expect_rows<false>(); }

TEST(StoreMatrix, GathersColumns) { expect_rows<true>(); }

/// The last lane stores to the given place, the others to rows of their own.
__global__ void store_to(void* outside, int offset) {
  Tile& tile = block_shared<Tile>();
  const uint32_t registers[4] = {};
  void* const inside = reinterpret_cast<char*>(&tile) + offset;
  void* const given = outside != nullptr ? outside : inside;
  const unsigned lane = threadIdx.x;
  store_matrix<false>(registers, lane == 31 ? given : &tile.rows[lane][0]);
}

TEST(StoreMatrix, NamesAddressesThatItCannotTake) {
  const LaunchConfig config{.name = "k", .grid = {1}, .block = {32}, .shared_bytes = sizeof(Tile)};
  alignas(16) char global[16] = {};
  void* const nothing = nullptr;
  const std::string outside = fault_of<store_to>(config, static_cast<void*>(global), 0);
  EXPECT_NE(outside.find("calls store_matrix (store_matrix_test.cpp:"), std::string::npos)
      << outside;
  EXPECT_NE(outside.find("outside the block's 512 bytes of shared memory"), std::string::npos)
      << outside;
  EXPECT_NE(fault_of<store_to>(config, nothing, 504), "");
  EXPECT_EQ(fault_of<store_to>(config, nothing, 496), "");
  const std::string unaligned = fault_of<store_to>(config, nothing, 8);
  EXPECT_NE(unaligned.find("not aligned to 16 bytes"), std::string::npos) << unaligned;
}

}  // namespace
}  // namespace packproof::ptx
