// Kernels with and without the synchronisation that they need, for race_report_test.cpp. In the
// natural order every value is right also without it (copy_wait: where copies happen at once).
//
//   racy_kernels KERNEL ordered|racy SEED

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/ptx/copy_async.cuh"
#include "kernels/ptx/load_matrix.cuh"
#include "kernels/ptx/named_barrier.cuh"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace packproof {
namespace {

constexpr int kBlocks = 3;
constexpr int kThreads = 64;

struct Tile {
  alignas(16) int values[kThreads];
  BlockSumScratch scratch;
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

__device__ const int kSevens[4] = {7, 7, 7, 7};

// The wait is missing: the thread reads what it asked for before it has come.
template <bool kOrdered>
__global__ void copy_wait(int* out) {
  Tile& tile = block_shared<Tile>();
  ptx::copy_async<4>(&tile.values[threadIdx.x], kSevens);
  ptx::copy_async_commit();
  if (kOrdered) ptx::copy_async_wait<0>();
  const int value = tile.values[threadIdx.x];  // race: copy_wait
  out[blockIdx.x * kThreads + threadIdx.x] = value;
}

// The wait is there, but orders only the thread's own copies.
template <bool kOrdered>
__global__ void copy_barrier(int* out) {
  Tile& tile = block_shared<Tile>();
  ptx::copy_async<4>(&tile.values[threadIdx.x], kSevens);
  ptx::copy_async_commit();
  ptx::copy_async_wait<0>();
  if (kOrdered) __syncthreads();
  const int value = tile.values[threadIdx.x / 2];  // race: copy_barrier
  out[blockIdx.x * kThreads + threadIdx.x] = value;
}

// A barrier of warp 0 alone orders nothing for warp 1.
template <bool kOrdered>
__global__ void named_barrier(int* out) {
  Tile& tile = block_shared<Tile>();
  tile.values[threadIdx.x] = 7;
  if (kOrdered) {
    ptx::named_barrier_sync(1, kThreads);
  } else {
    ptx::named_barrier_sync(1 + static_cast<int>(threadIdx.x) / 32, 32);
  }
  const int value = tile.values[threadIdx.x % 32];  // race: named_barrier
  out[blockIdx.x * kThreads + threadIdx.x] = value;
}

// load_matrix reads the rows of other threads.
template <bool kOrdered>
__global__ void matrix_rows(int* out) {
  Tile& tile = block_shared<Tile>();
  if (threadIdx.x < 32) tile.values[threadIdx.x] = 0x00070007;
  if (kOrdered) __syncthreads();
  uint32_t registers[1];
  ptx::load_matrix<1>(registers, &tile.values[threadIdx.x % 8 * 4]);  // race: matrix_rows
  out[blockIdx.x * kThreads + threadIdx.x] = static_cast<int>(registers[0] & 0xffff);
}

template <bool kOrdered>
packproof_status run(const char* kernel, int* out) {
  const LaunchConfig config{.grid = {kBlocks}, .block = {kThreads}, .shared_bytes = sizeof(Tile)};

  const struct {
    const char* name;
    packproof_status (*start)(const LaunchConfig&, packproof_message*, int*);
  } kernels[] = {
      {"block_barrier", launch<block_barrier<kOrdered>, int*>},
      {"warp_barrier", launch<warp_barrier<kOrdered>, int*>},
      {"write_after_read", launch<write_after_read<kOrdered>, int*>},
      {"reduction", launch<reduction<kOrdered>, int*>},
      {"blocks", launch<blocks<kOrdered>, int*>},
      {"copy_wait", launch<copy_wait<kOrdered>, int*>},
      {"copy_barrier", launch<copy_barrier<kOrdered>, int*>},
      {"named_barrier", launch<named_barrier<kOrdered>, int*>},
      {"matrix_rows", launch<matrix_rows<kOrdered>, int*>},
  };

  for (const auto& row : kernels) {
    if (std::strcmp(row.name, kernel) == 0) return row.start(config, nullptr, out);
  }
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
  bool right = status == PACKPROOF_OK;
  for (const int value : out) right = right && value == 7;
  std::puts(right ? "right" : "wrong");
  return right ? 0 : 1;
}
