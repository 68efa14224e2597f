#pragma once

#include "kernels/common/platform.cuh"
#include "kernels/gated_delta_rule/chunk_operators.cuh"

#include <cstdint>

namespace packproof {

// A = (I + M)^-1 of chunk_operators.cuh by forward substitution, A_i = e_i - sum_{p < i} M_ip A_p, a
// block of 16 rows after the other: all threads subtract what the blocks before contribute, then one
// thread a column solves within the block. Each element is one chain of fmaf with p ascending.
//
// In float, column c of A stands in row c of a TileCoupling, above the diagonal of blocks in `m`, on
// it in `diagonal`: its rows lie side by side.

inline constexpr int kRowsOfThread = 4;

/// Where the 16 rows of a block of rows stand, of one column of A.
__device__ __forceinline__ float* inverse_at(TileCoupling& coupling, int column, int row_block) {
  return column / kBlockRows == row_block ? coupling.diagonal[column]
                                          : &coupling.m[column][kBlockRows * row_block];
}

/// x = -sum M_ip A_p over the row blocks before `row_block`, for a quarter of its rows and one column
/// of each block of the same sequence. Threads 0 .. 63 of a head call it.
__device__ __forceinline__ void subtract_earlier_blocks(const TileBlock* blocks,
                                                        TileCoupling& coupling, int row_block,
                                                        int thread_of_head) {
  const int row = kBlockRows * row_block + thread_of_head / kBlockRows * kRowsOfThread;
  for (int own = 0; own < row_block; ++own) {
    if (row_block >= blocks[own].end_block) continue;
    const int column = kBlockRows * own + thread_of_head % kBlockRows;
    float x[kRowsOfThread] = {};
#pragma unroll 1
    for (int earlier = own; earlier < row_block; ++earlier) {
      const float* a = inverse_at(coupling, column, earlier);
#pragma unroll
      for (int p = 0; p < kBlockRows; p += 4) {
        const float4 four_a = *reinterpret_cast<const float4*>(&a[p]);
#pragma unroll
        for (int i = 0; i < kRowsOfThread; ++i) {
          const float* m = &coupling.m[row + i][kBlockRows * earlier + p];
          const float4 four = *reinterpret_cast<const float4*>(m);
          x[i] = fmaf(-four.x, four_a.x, x[i]);
          x[i] = fmaf(-four.y, four_a.y, x[i]);
          x[i] = fmaf(-four.z, four_a.z, x[i]);
          x[i] = fmaf(-four.w, four_a.w, x[i]);
        }
      }
    }
    *reinterpret_cast<float4*>(&coupling.m[column][row]) = make_float4(x[0], x[1], x[2], x[3]);
  }
}

/// The rest of rows 16 row_block .. of a column, rounded to `solve` and kept in float.
template <typename T>
__device__ __forceinline__ void solve_within_block(TileCoupling& coupling, int row_block,
                                                   int column, TriangularBlocks<T>& solve) {
  const int own = column / kBlockRows;
  float* a = inverse_at(coupling, column, row_block);
  float x[kBlockRows];
#pragma unroll
  for (int i = 0; i < kBlockRows; i += 4) {
    const float4 four = own < row_block ? *reinterpret_cast<const float4*>(&a[i])
                                        : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    x[i] = four.x;
    x[i + 1] = four.y;
    x[i + 2] = four.z;
    x[i + 3] = four.w;
  }
#pragma unroll
  for (int i = 0; i < kBlockRows; ++i) {
    if (kBlockRows * row_block + i == column) x[i] = 1.0f;
  }
#pragma unroll
  for (int i = 1; i < kBlockRows; ++i) {
#pragma unroll
    for (int p = 0; p < i; p += 4) {
      const float* m = &coupling.m[kBlockRows * row_block + i][kBlockRows * row_block + p];
      const float4 four = *reinterpret_cast<const float4*>(m);
      x[i] = fmaf(-four.x, x[p], x[i]);
      if (p + 1 < i) x[i] = fmaf(-four.y, x[p + 1], x[i]);
      if (p + 2 < i) x[i] = fmaf(-four.z, x[p + 2], x[i]);
      if (p + 3 < i) x[i] = fmaf(-four.w, x[p + 3], x[i]);
    }
  }
  T* block = solve.element[TriangularBlocks<T>::block(row_block, own)];
#pragma unroll
  for (int i = 0; i < kBlockRows; i += 4) {
    *reinterpret_cast<float4*>(&a[i]) = make_float4(x[i], x[i + 1], x[i + 2], x[i + 3]);
#pragma unroll
    for (int e = i; e < i + 4; e += 2) {
      const uint32_t pair = ptx::Pair<T>::pack(x[e], x[e + 1]);
      const int place = TriangularBlocks<T>::place(e, column % kBlockRows);
      const int next = TriangularBlocks<T>::place(e + 1, column % kBlockRows);
      block[place].bits = static_cast<uint16_t>(pair);
      block[next].bits = static_cast<uint16_t>(pair >> 16);
    }
  }
}

/// A of the first num_heads couplings. All kOperatorThreads call it; the caller synchronises before
/// and after. Blocks of other sequences are not touched.
template <typename T>
__device__ __forceinline__ void invert(const TileBlock* blocks, TileCoupling* couplings,
                                       ChunkOperators<T>* operators, int num_heads) {
  const int thread = static_cast<int>(threadIdx.x);
  // Columns of one block cost the same: a warp takes those of all heads.
  const int own = thread / 32;
  const int head_of_column = thread % 32 / kBlockRows;
  const int column = kBlockRows * own + thread % kBlockRows;
#pragma unroll 1
  for (int row_block = 0; row_block < kChunkBlocks; ++row_block) {
    if (blocks[row_block].first_block < row_block) {
      const int head = thread / kChunkRows;
      if (head < num_heads) {
        subtract_earlier_blocks(blocks, couplings[head], row_block, thread % kChunkRows);
      }
      __syncthreads();  // the sums stand
    }
    if (own <= row_block && row_block < blocks[own].end_block && head_of_column < num_heads) {
      solve_within_block(couplings[head_of_column], row_block, column,
                         operators[head_of_column].solve);
    }
    const int next = row_block + 1;
    if (next < kChunkBlocks && blocks[next].first_block < next) {
      __syncthreads();  // A stands up to these rows
    }
  }
}

}  // namespace packproof
