#include "kernels/common/reduce.cuh"

#include "kernels/common/block_shared.cuh"
#include "kernels/simt/launch_for_test.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace packproof::simt {
namespace {

// What reduce.cuh does on the device, spelled out with single shuffles.
template <int kWidth>
float shuffled_sum(float value) {
  for (int distance = kWidth / 2; distance > 0; distance /= 2) {
    value += __shfl_xor_sync(0xffffffffu, value, distance);
  }
  return value;
}

template <int kWidth>
float shuffled_max(float value) {
  for (int distance = kWidth / 2; distance > 0; distance /= 2) {
    value = max_with_nan(value, __shfl_xor_sync(0xffffffffu, value, distance));
  }
  return value;
}

struct Partials {
  BlockSumScratch scratch;
  float warps[32];
};

template <int kWidth>
__global__ void reduce_both_ways(const float* in, float* named, float* shuffled) {
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned n = gridDim.x * blockDim.x;
  Partials& partials = block_shared<Partials>();

  named[i] = packproof::warp_sum<kWidth>(in[i]);
  named[n + i] = packproof::warp_max<kWidth>(in[i]);
  named[2 * n + i] = packproof::block_sum(in[i], partials.scratch);
  named[3 * n + i] = warp_broadcast(in[i], 5);

  shuffled[i] = shuffled_sum<kWidth>(in[i]);
  shuffled[n + i] = shuffled_max<kWidth>(in[i]);
  const float own_warp = shuffled_sum<32>(in[i]);
  if (threadIdx.x % 32 == 0) partials.warps[threadIdx.x / 32] = own_warp;
  __syncthreads();
  float sum = partials.warps[0];
  for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) sum += partials.warps[warp];
  shuffled[2 * n + i] = sum;
  shuffled[3 * n + i] = __shfl_sync(0xffffffffu, in[i], 5);
}

// Values of widely different exponents: any other order of additions gives other bits.
std::vector<float> wild_values(std::size_t count) {
  std::vector<float> values(count);
  uint32_t state = 12345;
  for (float& value : values) {
    state = state * 1664525u + 1013904223u;
    value = std::ldexp(static_cast<float>(static_cast<int32_t>(state)),
                       static_cast<int>(state >> 8) % 24 - 40);
  }
  return values;
}

template <int kWidth>
void expect_same_bits(const std::vector<float>& in, unsigned threads) {
  std::vector<float> named(4 * in.size());
  std::vector<float> shuffled(4 * in.size());
  const auto blocks = static_cast<unsigned>(in.size()) / threads;
  ASSERT_EQ(fault_of<reduce_both_ways<kWidth>>(
                {.grid = {blocks}, .block = {threads}, .shared_bytes = sizeof(Partials)}, in.data(),
                named.data(), shuffled.data()),
            "");
  for (std::size_t i = 0; i < named.size(); ++i) {
    // Which of two NaN a sum keeps depends on the order of its operands, not of the additions.
    if (std::isnan(named[i]) && std::isnan(shuffled[i])) continue;
    ASSERT_EQ(std::bit_cast<uint32_t>(named[i]), std::bit_cast<uint32_t>(shuffled[i]))
        << "width " << kWidth << ", threads " << threads << ", element " << i;
  }
}

TEST(Reduce, EqualsTheShuffleTreeBitwise) {
  const std::vector<float> in = wild_values(2048);
  for (const unsigned threads : {32u, 64u, 256u, 1024u}) {
    expect_same_bits<1>(in, threads);
    expect_same_bits<2>(in, threads);
    expect_same_bits<8>(in, threads);
    expect_same_bits<16>(in, threads);
    expect_same_bits<32>(in, threads);
  }
}

TEST(Reduce, EqualsTheShuffleTreeOnSpecialValues) {
  std::vector<float> in = wild_values(256);
  const float special[] = {std::numeric_limits<float>::quiet_NaN(),
                           std::numeric_limits<float>::infinity(),
                           -std::numeric_limits<float>::infinity(),
                           0.0f,
                           -0.0f,
                           1e-45f};
  for (std::size_t i = 0; i < in.size(); ++i) {
    if (i % 3 == 0) in[i] = special[i / 3 % 6];
  }
  expect_same_bits<4>(in, 128);
  expect_same_bits<32>(in, 128);
  // Groups that hold only zeros of both signs.
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = i % 2 == 0 ? -0.0f : 0.0f;
  expect_same_bits<32>(in, 64);
}

__global__ void sum_of_part_of_a_warp(float* out) { out[threadIdx.x] = packproof::warp_sum(1.0f); }

__global__ void sum_of_part_of_a_block(float* out) {
  out[threadIdx.x] = packproof::block_sum(1.0f, block_shared<Partials>().scratch);
}

TEST(Reduce, DemandsFullWarps) {
  float out[48] = {};
  const std::string warp =
      fault_of<sum_of_part_of_a_warp>({.name = "k", .grid = {1}, .block = {20}}, out);
  EXPECT_NE(warp.find("calls warp_sum (reduce_test.cpp:"), std::string::npos) << warp;
  EXPECT_NE(warp.find("in a warp of 20 lanes; expected a full warp"), std::string::npos) << warp;
  const std::string block = fault_of<sum_of_part_of_a_block>(
      {.name = "k", .grid = {1}, .block = {48}, .shared_bytes = sizeof(Partials)}, out);
  EXPECT_NE(block.find("calls block_sum (reduce_test.cpp:"), std::string::npos) << block;
  EXPECT_NE(block.find("in a block of 48 threads; expected full warps"), std::string::npos)
      << block;
}

}  // namespace
}  // namespace packproof::simt
