#pragma once

#include "kernels/common/convert.cuh"
#include "kernels/common/piece.cuh"
#include "kernels/common/platform.cuh"
#include "kernels/gated_delta_rule/chunk_tile.cuh"
#include "kernels/ptx/load_matrix.cuh"
#include "kernels/ptx/mma.cuh"
#include "kernels/ptx/pair.cuh"

#include <cstdint>

namespace packproof {

// Fragments of ptx/mma.cuh for 16 x 16 pieces of the tiles of a chunk.

/// d += a b of storage type T.
template <typename T>
__device__ __forceinline__ void multiply_add(float (&d)[4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[2]);

template <>
__device__ __forceinline__ void multiply_add<BFloat16>(float (&d)[4], const uint32_t (&a)[4],
                                                       const uint32_t (&b)[2]) {
  ptx::mma_m16n8k16_bf16(d, a, b);
}

template <>
__device__ __forceinline__ void multiply_add<Half>(float (&d)[4], const uint32_t (&a)[4],
                                                   const uint32_t (&b)[2]) {
  ptx::mma_m16n8k16_f16(d, a, b);
}

/// [16, 16] in accumulators: n = 0 holds columns 0 .. 7, n = 1 columns 8 .. 15.
template <typename T>
__device__ __forceinline__ void multiply_add(float (&d)[2][4], const uint32_t (&a)[4],
                                             const uint32_t (&b)[4]) {
  const uint32_t left[2] = {b[0], b[1]};
  const uint32_t right[2] = {b[2], b[3]};
  multiply_add<T>(d[0], a, left);
  multiply_add<T>(d[1], a, right);
}

/// Accumulators rounded to the left factor of the next product: the layouts agree.
template <typename T>
__device__ __forceinline__ void round_to_left(const float (&d)[2][4], uint32_t (&a)[4]) {
  using Pair = ptx::Pair<T>;
  a[0] = Pair::pack(d[0][0], d[0][1]);
  a[1] = Pair::pack(d[0][2], d[0][3]);
  a[2] = Pair::pack(d[1][0], d[1][1]);
  a[3] = Pair::pack(d[1][2], d[1][3]);
}

/// The left factor X of the 16 x 16 piece of a tile whose first element is [row][column].
template <typename Tile>
__device__ __forceinline__ void load_left(const Tile& tile, int row, int column, int lane,
                                          uint32_t (&a)[4]) {
  ptx::load_matrix<4>(a, &tile.row[row + lane % 16][column + lane / 16 * 8]);
}

/// The right factor X^T of that piece.
template <typename Tile>
__device__ __forceinline__ void load_right_transposed(const Tile& tile, int row, int column,
                                                      int lane, uint32_t (&b)[4]) {
  ptx::load_matrix<4>(b, &tile.row[row + lane % 8 + lane / 16 * 8][column + lane / 8 % 2 * 8]);
}

/// The right factor X of that piece.
template <typename Tile>
__device__ __forceinline__ void load_right(const Tile& tile, int row, int column, int lane,
                                           uint32_t (&b)[4]) {
  ptx::load_matrix<4, true>(b, &tile.row[row + lane % 16][column + lane / 16 * 8]);
}

/// X^T of that piece as accumulators would hold it.
template <typename T, typename Tile>
__device__ __forceinline__ void load_transposed(const Tile& tile, int row, int column, int lane,
                                                float (&d)[2][4]) {
  uint32_t pairs[4];
  ptx::load_matrix<4, true>(pairs,
                            &tile.row[row + lane % 8 + lane / 16 * 8][column + lane / 8 % 2 * 8]);
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      d[n][2 * half] = ptx::Pair<T>::low(pairs[2 * n + half]);
      d[n][2 * half + 1] = ptx::Pair<T>::high(pairs[2 * n + half]);
    }
  }
}

/// A lower triangular 64 x 64 matrix X, as its ten 16 x 16 blocks on and below the diagonal, column
/// of blocks by column, the last row of blocks first: rows that a column of X reaches are a prefix of
/// those that the column before reaches. A block is four 8 x 8 core matrices of
/// ptx/warpgroup_mma.cuh, by rows.
template <typename T>
struct alignas(16) TriangularBlocks {
  static constexpr int kNumBlocks = kChunkBlocks * (kChunkBlocks + 1) / 2;
  static constexpr int kColumnStep = 8 * kPieceBytes;  ///< From eight columns to the next.
  static constexpr int kRowStep = 2 * kColumnStep;     ///< From eight rows to the next.

  T element[kNumBlocks][kBlockRows * kBlockRows];

  __device__ static constexpr int block(int row_block, int column_block) {
    const int columns_before = column_block * (2 * kChunkBlocks + 1 - column_block) / 2;
    return columns_before + kChunkBlocks - 1 - row_block;
  }

  /// Where X[i][j] of a block stands, 0 <= i, j < 16.
  __device__ static constexpr int place(int i, int j) {
    return (i / 8 * 2 + j / 8) * 64 + i % 8 * 8 + j % 8;
  }
};

/// The right factor X^T of one block.
template <typename T>
__device__ __forceinline__ void load_right_transposed(const TriangularBlocks<T>& x, int row_block,
                                                      int column_block, int lane,
                                                      uint32_t (&b)[4]) {
  ptx::load_matrix<4>(b, &x.element[x.block(row_block, column_block)][kPieceElements * lane]);
}

/// Accumulators rounded to one block.
template <typename T>
__device__ __forceinline__ void store_block(const float (&d)[2][4], TriangularBlocks<T>& x,
                                            int row_block, int column_block, int lane) {
  T* block = x.element[x.block(row_block, column_block)];
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint32_t pair = ptx::Pair<T>::pack(d[n][2 * half], d[n][2 * half + 1]);
      T* target = &block[x.place(lane / 4 + 8 * half, 8 * n + lane % 4 * 2)];
      store_pair(pair, target);
    }
  }
}

}  // namespace packproof
