#pragma once

#include "kernels/common/platform.cuh"
#include "kernels/gated_delta_rule/chunk_operators.cuh"

#include <cstdint>

namespace packproof {

// A = (I + M)^-1 of chunk_operators.cuh by blocks of 16 rows. The diagonal blocks of A are the
// inverses of those of I + M, by forward substitution in float, one thread a column. Below them,
//
//   A_rc = -A_rr sum_{c <= p < r} M_rp A_pc
//
// needs blocks of the same column c alone: one warp makes a column of blocks, transposed, so that a
// result is the left factor of the next product as it stands. The factors are split into two bf16
// numbers each, of whose four products the smallest is left out: 2^-16 of a term, where A itself is
// rounded to 2^-9 or 2^-12.

/// Columns of a diagonal block of M to columns of the block of A in its place. Threads of one block
/// are lanes of one warp; whole warps call it.
__device__ __forceinline__ void invert_diagonal(TileCoupling::DiagonalBlock& block, int column) {
  float x[kBlockRows];
#pragma unroll
  for (int i = 0; i < kBlockRows; ++i) x[i] = i == column ? 1.0f : 0.0f;
#pragma unroll
  for (int i = 1; i < kBlockRows; ++i) {
#pragma unroll
    for (int p = 0; p < i; p += 4) {
      const float4 four = *reinterpret_cast<const float4*>(&block.row[i][p]);
      x[i] = fmaf(-four.x, x[p], x[i]);
      if (p + 1 < i) x[i] = fmaf(-four.y, x[p + 1], x[i]);
      if (p + 2 < i) x[i] = fmaf(-four.z, x[p + 2], x[i]);
      if (p + 3 < i) x[i] = fmaf(-four.w, x[p + 3], x[i]);
    }
  }
  __syncwarp();  // M is no longer read
#pragma unroll
  for (int i = 0; i < kBlockRows; ++i) block.row[i][column] = x[i];
}

/// The left factor in two terms.
struct SplitLeft {
  uint32_t high[4];
  uint32_t low[4];

  __device__ __forceinline__ void set(const float (&d)[2][4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const SplitPair pair(d[i / 2][i % 2 * 2], d[i / 2][i % 2 * 2 + 1]);
      high[i] = pair.high;
      low[i] = pair.low;
    }
  }
};

/// d += a b, b in two terms.
__device__ __forceinline__ void multiply_add_split(float (&d)[2][4], const SplitLeft& a,
                                                   const uint32_t (&b_high)[4],
                                                   const uint32_t (&b_low)[4]) {
  multiply_add<BFloat16>(d, a.low, b_high);
  multiply_add<BFloat16>(d, a.high, b_low);
  multiply_add<BFloat16>(d, a.high, b_high);
}

/// d += X^T (-M_rp)^T.
__device__ __forceinline__ void multiply_coupling(float (&d)[2][4], const SplitLeft& x,
                                                  const TileCoupling& coupling, int row_block,
                                                  int column_block, int lane) {
  const auto& below = coupling.below[TileCoupling::place_below(row_block, column_block)];
  uint32_t term[2][4];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int n = 0; n < 2; ++n) {
      const uint2 pair = below[i][n][lane];
      term[i][n] = pair.x;
      term[i][2 + n] = pair.y;
    }
  }
  multiply_add_split(d, x, term[0], term[1]);
}

/// d = Y^T A_rr^T.
__device__ __forceinline__ void multiply_diagonal(float (&d)[2][4], const SplitLeft& y,
                                                  const TileCoupling::DiagonalBlock& block,
                                                  int lane) {
  uint32_t high[4], low[4];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float* from = &block.row[lane / 4 + i / 2 * 8][lane % 4 * 2 + i % 2 * 8];
    const float2 two = *reinterpret_cast<const float2*>(from);
    const SplitPair pair(two.x, two.y);
    high[i] = pair.high;
    low[i] = pair.low;
  }
#pragma unroll
  for (int e = 0; e < 8; ++e) d[e / 4][e % 4] = 0.0f;
  multiply_add_split(d, y, high, low);
}

/// The transpose of accumulators, rounded to one block.
template <typename T>
__device__ __forceinline__ void store_transposed_block(const float (&d)[2][4],
                                                       TriangularBlocks<T>& x, int row_block,
                                                       int column_block, int lane) {
  T* block = x.element[x.block(row_block, column_block)];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const uint32_t pair = ptx::Pair<T>::pack(d[i / 2][i % 2 * 2], d[i / 2][i % 2 * 2 + 1]);
    T* target = &block[x.place(8 * (i / 2) + lane % 4 * 2, lane / 4 + i % 2 * 8)];
    target[0].bits = static_cast<uint16_t>(pair);
    target[8].bits = static_cast<uint16_t>(pair >> 16);
  }
}

/// Column `own` of the blocks of A, by one warp.
template <typename T>
__device__ __forceinline__ void solve_column(const TileBlock* blocks, const TileCoupling& coupling,
                                             int own, TriangularBlocks<T>& solve) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int end = blocks[own].end_block;
  SplitLeft column[kChunkBlocks];
#pragma unroll
  for (int block = 0; block < kChunkBlocks; ++block) {
    if (block < own || block >= end) continue;
    float x[2][4] = {};
    if (block == own) {
#pragma unroll
      for (int e = 0; e < 8; ++e) {
        x[e / 4][e % 4] = coupling.diagonal[own]
                              .row[8 * (e / 4) + lane % 4 * 2 + e % 2][lane / 4 + e % 4 / 2 * 8];
      }
    } else {
#pragma unroll
      for (int before = 0; before < block; ++before) {
        if (before < own) continue;
        multiply_coupling(x, column[before], coupling, block, before, lane);
      }
      SplitLeft sum;
      sum.set(x);
      multiply_diagonal(x, sum, coupling.diagonal[block], lane);
    }
    store_transposed_block(x, solve, block, own, lane);
    column[block].set(x);
  }
}

/// A of the first num_heads couplings. All kOperatorThreads call it; the caller synchronises before
/// and after. Blocks of other sequences are not touched.
template <typename T>
__device__ __forceinline__ void invert(const TileBlock* blocks, TileCoupling* couplings,
                                       ChunkOperators<T>* operators, int num_heads) {
  const int thread = static_cast<int>(threadIdx.x);
  const int head = thread / kChunkRows;
  if (head < num_heads) {
    invert_diagonal(couplings[head].diagonal[thread % kChunkRows / kBlockRows],
                    thread % kBlockRows);
  }
  __syncthreads();  // the diagonal stands
  // The first column of blocks is the longest: with two heads every warp has as much to do.
  const int warp = thread / 32;
#pragma unroll 1
  for (int i = 0; i < num_heads; ++i) {
    solve_column(blocks, couplings[i], i == 0 ? warp : kChunkBlocks - 1 - warp, operators[i].solve);
  }
}

}  // namespace packproof
