// Measures what the host execution of collectives costs and prints a table; README.md shows one.
// Processor time of one host thread, the best of several runs.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/reduce.cuh"
#include "kernels/ptx/copy_async.cuh"
#include "kernels/ptx/load_matrix.cuh"
#include "kernels/ptx/mma.cuh"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>

namespace packproof {
namespace {

struct Tile {
  alignas(16) unsigned short values[64 * 64];
  BlockSumScratch scratch;
};

__global__ void nothing(int) {}

__global__ void yields(int repeats) {
  for (int i = 0; i < repeats; ++i) simt::yield();
}

__global__ void shuffles(int repeats) {
  float value = static_cast<float>(threadIdx.x);
  for (int i = 0; i < repeats; ++i) value = __shfl_xor_sync(0xffffffffu, value, 1);
}

__global__ void warp_sums(int repeats) {
  float value = static_cast<float>(threadIdx.x);
  for (int i = 0; i < repeats; ++i) value = warp_sum(value) / 32;
}

__global__ void barriers(int repeats) {
  for (int i = 0; i < repeats; ++i) __syncthreads();
}

__global__ void block_sums(int repeats) {
  float value = static_cast<float>(threadIdx.x);
  BlockSumScratch& scratch = block_shared<Tile>().scratch;
  for (int i = 0; i < repeats; ++i) value = block_sum(value, scratch) / 256;
}

__global__ void products(int repeats) {
  float d[4] = {};
  const uint32_t a[4] = {};
  const uint32_t b[2] = {};
  for (int i = 0; i < repeats; ++i) ptx::mma_m16n8k16_bf16(d, a, b);
}

__global__ void matrix_loads(int repeats) {
  Tile& tile = block_shared<Tile>();
  uint32_t registers[4];
  for (int i = 0; i < repeats; ++i) ptx::load_matrix<4>(registers, &tile.values[threadIdx.x * 64]);
}

__global__ void copies(int repeats) {
  alignas(16) static const char source[16] = {};
  Tile& tile = block_shared<Tile>();
  for (int i = 0; i < repeats; ++i) {
    ptx::copy_async<16>(&tile.values[threadIdx.x * 8], source);
    ptx::copy_async_commit();
    ptx::copy_async_wait<0>();
  }
}

double processor_nanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// One launch of `threads` threads, each of which repeats an operation; `unit` of them are one event.
template <auto kKernel>
void measure(const char* what, unsigned threads, int repeats, int unit) {
  double best = 1e300;
  for (int run = 0; run < 5; ++run) {
    const double start = processor_nanoseconds();
    packproof_message message{};
    const packproof_status status = launch<kKernel>(
        {.grid = {1}, .block = {threads}, .shared_bytes = sizeof(Tile)}, &message, repeats);
    if (status != PACKPROOF_OK) {
      std::fprintf(stderr, "%s\n", message.text);
      std::exit(4);
    }
    best = std::min(best, processor_nanoseconds() - start);
  }
  std::printf("| %-52s | %8.1f |\n", what, best * unit / threads / repeats);
}

void measure_all() {
  constexpr int kRepeats = 20000;
  measure<yields>("resume and yield, per thread", 32, kRepeats, 1);
  measure<shuffles>("shuffle, per warp", 32, kRepeats, 32);
  measure<warp_sums>("warp_sum, per warp", 32, kRepeats, 32);
  measure<barriers>("__syncthreads of 256 threads, per thread", 256, kRepeats / 8, 1);
  measure<block_sums>("block_sum of 256 threads, per thread", 256, kRepeats / 8, 1);
  measure<matrix_loads>("load_matrix<4>, per warp", 32, kRepeats, 32);
  measure<copies>("copy_async<16>, commit and wait, per thread", 32, kRepeats, 1);
  simt::set_schedule(2);
  measure<shuffles>("shuffle under a shuffled schedule, per warp", 32, kRepeats, 32);
  measure<products>("mma_m16n8k16_bf16 in sequence, per warp", 32, kRepeats / 4, 32);
  simt::set_schedule(1);
  measure<products>("mma_m16n8k16_bf16 like tensor cores, per warp", 32, kRepeats / 4, 32);
  simt::set_schedule(0);
}

void measure_starts() {
  constexpr unsigned kBlocks = 2000;
  double best = 1e300;
  double launches = 1e300;
  for (int run = 0; run < 5; ++run) {
    double start = processor_nanoseconds();
    launch<nothing>({.grid = {kBlocks}, .block = {128}}, nullptr, 0);
    best = std::min(best, processor_nanoseconds() - start);
    start = processor_nanoseconds();
    for (unsigned i = 0; i < kBlocks; ++i) launch<nothing>({.grid = {1}, .block = {1}}, nullptr, 0);
    launches = std::min(launches, processor_nanoseconds() - start);
  }
  std::printf("| %-52s | %8.1f |\n", "a thread without collectives", best / kBlocks / 128);
  std::printf("| %-52s | %8.1f |\n", "a launch of one thread", launches / kBlocks);
}

}  // namespace
}  // namespace packproof

int main() {
  setenv("PACKPROOF_SIMT_THREADS", "1", 1);
  std::printf("| %-52s | %8s |\n| %.52s | -------: |\n", "operation", "ns",
              "----------------------------------------------------");
  packproof::measure_all();
  packproof::measure_starts();
}
