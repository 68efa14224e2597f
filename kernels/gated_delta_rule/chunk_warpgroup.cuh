#pragma once

#include "kernels/common/platform.cuh"
#include "kernels/gated_delta_rule/chunk_fragments.cuh"
#include "kernels/gated_delta_rule/chunk_scan.cuh"
#include "kernels/gated_delta_rule/chunk_state.cuh"
#include "kernels/gated_delta_rule/chunk_tile.cuh"
#include "kernels/ptx/bulk_copy.cuh"
#include "kernels/ptx/store_matrix.cuh"
#include "kernels/ptx/warpgroup_mma.cuh"

#include <cstdint>

namespace packproof {

// Products of the scans of sm_90, chunk_gated_delta_rule_scan_sm90.cu and its sibling for few walks:
// four warps with 16 columns of V each, everything transposed.

inline constexpr int kGroupWarps = 4;
inline constexpr int kGroupThreads = 32 * kGroupWarps;
inline constexpr int kSliceColumns = kGroupWarps * kWarpColumns;

// Accumulators of tokens hold the last block of them first, as the tiles do: a triangular product
// reaches a prefix of them, which stays where it is in the registers.

/// The first kCount accumulators.
template <int kCount, int kAll>
__device__ __forceinline__ float (&first_of(float (&d)[kAll]))[kCount] {
  static_assert(kCount <= kAll);
  return reinterpret_cast<float(&)[kCount]>(d);
}

/// Accumulators of one block of tokens.
__device__ __forceinline__ float (&block_of(float (&d)[kChunkRows / 2], int block))[2][4] {
  return reinterpret_cast<float(&)[2][4]>(d[kBlockRows / 2 * (kChunkBlocks - 1 - block)]);
}

/// H^T as left factors.
template <typename T, int kKeys>
__device__ __forceinline__ void round_state(const StateColumns<kKeys>& columns,
                                            uint32_t (&rounded)[kKeys / 16][4]) {
#pragma unroll
  for (int i = 0; i < kKeys / 16; ++i) round_to_left<T>(columns.s[i], rounded[i]);
}

/// Starts the copies of a chunk's q, k, A and P as prep left them, which `arrived` awaits. One thread
/// calls it.
template <typename T, int kKeys>
__device__ __forceinline__ void copy_keys_and_operators(const ChunkParams<T>& params,
                                                        const ScanTask& task, int chunk,
                                                        ptx::BulkBarrier& arrived,
                                                        KeyPieces<T, kKeys>& keys,
                                                        ChunkOperators<T>& operators) {
  const int64_t place = int64_t{task.first_chunk} + chunk;
  ptx::bulk_expect(arrived, sizeof(keys) + sizeof(operators));
  ptx::bulk_copy(arrived, &keys, params.key_copies.q(place * params.num_k_heads + task.key_head),
                 sizeof(keys));
  ptx::bulk_copy(arrived, &operators, &params.operators[place * params.num_v_heads + task.head],
                 sizeof(operators));
}

/// d (+)= H^T X^T for the tokens x of a tile; H is rounded to the fragments `state`.
template <typename T, int kKeys>
__device__ __forceinline__ void read_state(float (&d)[kChunkRows / 2],
                                           const uint32_t (&state)[kKeys / 16][4],
                                           PieceTile<T, kKeys>& x) {
  using Tile = PieceTile<T, kKeys>;
#pragma unroll
  for (int key = 0; key < kKeys; key += 16) {
    ptx::warpgroup_mma<T, kChunkRows, ptx::CoreRow::kAlongK>(
        d, state[key / 16], {x.piece[key / kPieceElements], Tile::kColumnStep, Tile::kRowStep},
        key > 0);
  }
}

/// d (+)= Y X^T for a lower triangular X, Y in the fragments `y`; with kAdd = false, d is overwritten.
template <bool kAdd, int kBlock = 0, typename T>
__device__ __forceinline__ void multiply_triangular(float (&d)[kChunkRows / 2],
                                                    const uint32_t (&y)[kChunkBlocks][4],
                                                    TriangularBlocks<T>& x) {
  if constexpr (kBlock < kChunkBlocks) {
    using Blocks = TriangularBlocks<T>;
    constexpr int kRows = kChunkRows - kBlockRows * kBlock;
    ptx::warpgroup_mma<T, kRows, ptx::CoreRow::kAlongK>(
        first_of<kRows / 2>(d), y[kBlock],
        {x.element[Blocks::block(kChunkBlocks - 1, kBlock)], Blocks::kColumnStep, Blocks::kRowStep},
        kAdd || kBlock > 0);
    multiply_triangular<kAdd, kBlock + 1>(d, y, x);
  }
}

/// H^T += updates^T K.
template <typename T, int kKeys>
__device__ __forceinline__ void update_state(float (&state)[kKeys / 2],
                                             const uint32_t (&updates)[kChunkBlocks][4],
                                             PieceTile<T, kKeys>& k) {
  using Tile = PieceTile<T, kKeys>;
#pragma unroll
  for (int block = 0; block < kChunkBlocks; ++block) {
    ptx::warpgroup_mma<T, kKeys, ptx::CoreRow::kAlongN>(
        state, updates[block],
        {k.piece[0][Tile::place(kBlockRows * block)], Tile::kRowStep, Tile::kColumnStep}, true);
  }
}

/// The warp's output, rounded, row by row into its tile.
template <typename T>
__device__ __forceinline__ void gather_output(const float (&output)[kChunkRows / 2], float scale,
                                              RowTile<T, kWarpColumns>& tile) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int block = 0; block < kChunkBlocks; ++block) {
    uint32_t pairs[4];
    const float* first = &output[kBlockRows / 2 * (kChunkBlocks - 1 - block)];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      pairs[i] = ptx::Pair<T>::pack(scale * first[2 * i], scale * first[2 * i + 1]);
    }
    const int row = kBlockRows * block + lane / 16 * 8 + lane % 8;
    ptx::store_matrix<true>(pairs, tile.at(row, lane / 8 % 2 * 8));
  }
}

/// A thread's fragments through shared memory.
template <int kCount>
__device__ __forceinline__ void hand_over(const uint32_t (&fragments)[kCount][4], int thread,
                                          uint4 (&target)[kCount][kGroupThreads]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const uint32_t(&a)[4] = fragments[i];
    target[i][thread] = make_uint4(a[0], a[1], a[2], a[3]);
  }
}

template <int kCount>
__device__ __forceinline__ void take_over(const uint4 (&source)[kCount][kGroupThreads], int thread,
                                          uint32_t (&fragments)[kCount][4]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const uint4 a = source[i][thread];
    fragments[i][0] = a.x;
    fragments[i][1] = a.y;
    fragments[i][2] = a.z;
    fragments[i][3] = a.w;
  }
}

/// The factors of the rows that a thread's accumulators of tokens stand for.
class OwnFactors {
 public:
  __device__ __forceinline__ OwnFactors(const float (&factors)[kChunkRows], int lane) {
#pragma unroll
    for (int block = 0; block < kChunkBlocks; ++block) {
      const RowFactors of_block(factors, kBlockRows * block, lane);
#pragma unroll
      for (int i = 0; i < 4; ++i) factor_[block][i] = of_block(i / 2, i % 2);
    }
  }

  /// That of element [n][e] of a block.
  __device__ __forceinline__ float operator()(int block, int n, int e) const {
    return factor_[block][2 * n + e % 2];
  }

 private:
  float factor_[kChunkBlocks][4];
};

/// output = diag(Gam) Q H, transposed.
__device__ __forceinline__ void decay_rows(const float (&read)[kChunkRows / 2],
                                           const OwnFactors& from_start,
                                           float (&output)[kChunkRows / 2]) {
#pragma unroll
  for (int block = 0; block < kChunkBlocks; ++block) {
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int element = kBlockRows / 2 * (kChunkBlocks - 1 - block) + i;
      output[element] = from_start(block, i / 4, i % 4) * read[element];
    }
  }
}

}  // namespace packproof
