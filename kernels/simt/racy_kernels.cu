// Kernels with and without the synchronisation that they need, for race_report_test.cpp. In the
// natural order every value is right also without it.
//
//   racy_kernels KERNEL ordered|racy SEED        exits 0 when the kernel ran and its values are right

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/reduce.cuh"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace packproof {
namespace {

constexpr int kBlocks = 3;
constexpr int kThreads = 64;

struct Tile {
  BlockSumScratch scratch;
  int values[kThreads];
};

// Thread 0 writes, the others read.
template <bool kOrdered>
__global__ void block_barrier(int* out) {
  Tile& tile = block_shared<Tile>();
  if (threadIdx.x == 0) tile.values[0] = 7;
  if (kOrdered) __syncthreads();
  const int value = threadIdx.x == 0 ? 7 : tile.values[0];  // race: block_barrier
  out[blockIdx.x * kThreads + threadIdx.x] = value;
}

// A shuffle makes the lanes meet, but orders no memory.
template <bool kOrdered>
__global__ void warp_barrier(int* out) {
  Tile& tile = block_shared<Tile>();
  tile.values[threadIdx.x] = 7;
  __shfl_xor_sync(0xffffffffu, 0, 1);
  if (kOrdered) __syncwarp();
  const int value = tile.values[threadIdx.x ^ 1];  // race: warp_barrier
  out[blockIdx.x * kThreads + threadIdx.x] = value;
}

// The values of a second round overwrite those of the first while others may still read them.
template <bool kOrdered>
__global__ void write_after_read(int* out) {
  Tile& tile = block_shared<Tile>();
  int sum = 0;
  for (int round = 0; round < 2; ++round) {
    if (kOrdered && round == 1) __syncthreads();
    tile.values[threadIdx.x] = 3 + round;  // race: write_after_read
    __syncthreads();
    sum += tile.values[threadIdx.x | 32];
  }
  out[blockIdx.x * kThreads + threadIdx.x] = sum;
}

// block_sum is a barrier; warp_sum is none.
template <bool kOrdered>
__global__ void reduction(int* out) {
  Tile& tile = block_shared<Tile>();
  tile.values[threadIdx.x] = 6;
  const float one = kOrdered ? block_sum(1.0f, tile.scratch) / kThreads : warp_sum(1.0f) / 32.0f;
  const int value = tile.values[threadIdx.x % 32];  // race: reduction
  out[blockIdx.x * kThreads + threadIdx.x] = value + static_cast<int>(one);
}

// Nothing orders blocks: the racy kernel's blocks write the same rows.
template <bool kOrdered>
__global__ void blocks(int* out) {
  for (unsigned row = 0; row < kBlocks; ++row) {
    if (kOrdered && row != blockIdx.x) continue;
    out[row * kThreads + threadIdx.x] = 7;  // race: blocks
  }
}

template <bool kOrdered>
packproof_status run(const char* kernel, int* out) {
  const LaunchConfig config{.grid = {kBlocks}, .block = {kThreads}, .shared_bytes = sizeof(Tile)};
  if (std::strcmp(kernel, "block_barrier") == 0) {
    return launch<block_barrier<kOrdered>>(config, nullptr, out);
  }
  if (std::strcmp(kernel, "warp_barrier") == 0) {
    return launch<warp_barrier<kOrdered>>(config, nullptr, out);
  }
  if (std::strcmp(kernel, "write_after_read") == 0) {
    return launch<write_after_read<kOrdered>>(config, nullptr, out);
  }
  if (std::strcmp(kernel, "reduction") == 0) {
    return launch<reduction<kOrdered>>(config, nullptr, out);
  }
  if (std::strcmp(kernel, "blocks") == 0) return launch<blocks<kOrdered>>(config, nullptr, out);
  return PACKPROOF_NOT_SUPPORTED;
}

}  // namespace
}  // namespace packproof

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  packproof::simt::set_schedule(std::strtoull(argv[3], nullptr, 10));
  int out[packproof::kBlocks * packproof::kThreads] = {};
  const bool ordered = std::strcmp(argv[2], "ordered") == 0;
  const packproof_status status =
      ordered ? packproof::run<true>(argv[1], out) : packproof::run<false>(argv[1], out);
  for (const int value : out) {
    if (status != PACKPROOF_OK || value != 7) return 1;
  }
  std::puts("right");
  return 0;
}
