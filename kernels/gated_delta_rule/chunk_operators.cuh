#pragma once

#include "kernels/common/math.cuh"
#include "kernels/common/platform.cuh"
#include "kernels/gated_delta_rule/chunk_fragments.cuh"
#include "kernels/gated_delta_rule/chunk_tile.cuh"
#include "kernels/gated_delta_rule/token_tile.cuh"

#include <cstdint>

namespace packproof {

/// What a chunk of one value head does to values and states, spec 3.2 without H and V:
///
///   A = (I + M)^-1,  M_ij = beta_i D_ij k_i.k_j (i > j)      P_ij = D_ij q_i.k_j (i >= j)
///   D_ij = exp(gamma_i - gamma_j)      gamma: sum of the log gates from the sequence's start in the
///                                      chunk
///
/// The order of the rows is the tile's; rows of zeros have beta = 0 and gamma of the row before.
template <typename T>
struct alignas(16) ChunkOperators {
  TriangularBlocks<T> solve;     ///< A
  TriangularBlocks<T> attend;    ///< P, without the scale
  float from_start[kChunkRows];  ///< exp(gamma_i)
  float to_end[kChunkRows];      ///< exp(gamma_last - gamma_i), last of the sequence's rows here
  float beta[kChunkRows];
};

/// K K^T and Q K^T of the 16 rows of one warp with the blocks of their sequence up to their own.
struct KeyProducts {
  float kk[kChunkBlocks][2][4];
  float qk[kChunkBlocks][2][4];
};

/// The gates of a tile's rows, in shared memory. Sums start anew with each block of 16 rows, so that
/// D_ij of two blocks is to_row[i] between to_block_end[j]: each is the exponential of a sum of
/// consecutive gates, none can overflow, and what underflows in one of them is 0 in D_ij.
struct alignas(16) TileGates {
  float sum[kChunkRows];  ///< Of the log gates from the block's start to the row.
  float beta[kChunkRows];
  float to_row[kChunkRows];                   ///< exp(sum)
  float to_block_end[kChunkRows];             ///< exp(sum of the block's last row - sum)
  float between[kChunkBlocks][kChunkBlocks];  ///< [r][p]: over all blocks after p and before r.

  __device__ __forceinline__ float sum_of_block(int block) const {
    return sum[kBlockRows * block + kBlockRows - 1];
  }
};

/// M, in shared memory, for chunk_inverse.cuh: its diagonal blocks in float, those below as right
/// factors -M^T in two terms. Threads of two blocks meet different banks.
struct TileCoupling {
  static constexpr int kPitch = kBlockRows + 4;
  static constexpr int kNumBelow = kChunkBlocks * (kChunkBlocks - 1) / 2;

  struct alignas(16) DiagonalBlock {
    float row[kBlockRows][kPitch];
    float unused[16];
  };

  DiagonalBlock diagonal[kChunkBlocks];
  uint2 below[kNumBelow][2][2][32];  ///< [block][term][columns 0 .. 7 or 8 .. 15 of M][lane]

  __device__ static constexpr int place_below(int row_block, int column_block) {
    return row_block * (row_block - 1) / 2 + column_block;
  }
};

/// One warp for each block of rows; a thread for each column of A of up to two heads.
inline constexpr int kOperatorThreads = 32 * kChunkBlocks;
inline constexpr int kMaxOperatorHeads = kOperatorThreads / kChunkRows;

/// A float as the sum of two bf16 numbers, to 2^-17 of itself, for two of them side by side.
struct SplitPair {
  uint32_t high;
  uint32_t low;

  __device__ __forceinline__ SplitPair(float x, float y) {
    using Pair = ptx::Pair<BFloat16>;
    high = Pair::pack(x, y);
    low = Pair::pack(x - Pair::low(high), y - Pair::high(high));
  }
};

template <typename T, int kColumns>
__device__ __forceinline__ void multiply_keys(const RowTile<T, kColumns>& q,
                                              const RowTile<T, kColumns>& k,
                                              const TileBlock* blocks, int own,
                                              KeyProducts& products) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first = blocks[own].first_block;
#pragma unroll
  for (int other = 0; other < kChunkBlocks; ++other) {
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        products.kk[other][n][e] = 0.0f;
        products.qk[other][n][e] = 0.0f;
      }
    }
  }
#pragma unroll 2
  for (int column = 0; column < kColumns; column += 16) {
    uint32_t own_k[4], own_q[4];
    load_left(k, kBlockRows * own, column, lane, own_k);
    load_left(q, kBlockRows * own, column, lane, own_q);
#pragma unroll
    for (int other = 0; other < kChunkBlocks; ++other) {
      if (other < first || other > own) continue;
      uint32_t keys[4];
      load_right_transposed(k, kBlockRows * other, column, lane, keys);
      multiply_add<T>(products.kk[other], own_k, keys);
      multiply_add<T>(products.qk[other], own_q, keys);
    }
  }
}

/// g below -128 decays to exactly 0 as it is; bounded, it leaves more bits of gamma to its
/// neighbours, and -infinity gives no NaN as a difference.
__device__ inline float bounded_log_decay(float g) { return g < -128.0f ? -128.0f : g; }

/// Of one row of a tile.
struct RowGate {
  float log_decay;
  float beta;
};

/// Row `place` of a block.
template <typename T>
__device__ __forceinline__ RowGate load_gate(const DeltaRuleTokens<T>& tokens,
                                             const TileBlock& block, int place, int head) {
  if (place >= block.rows) return {0.0f, 0.0f};
  const int64_t row = block.first_row + place;
  return {bounded_log_decay(log_decay_of(tokens, block.batch, row, head)),
          tokens.beta.load(block.batch, row, head)};
}

/// beta of row `r` of the tile and the sum of its block's log gates up to it. All lanes of a warp call
/// it, for consecutive rows.
__device__ __forceinline__ void sum_gates(const RowGate& gate, int r, TileGates& gates) {
  float sum = gate.log_decay;
#pragma unroll
  for (int distance = 1; distance < kBlockRows; distance *= 2) {
    const float before = __shfl_up_sync(~0u, sum, distance, kBlockRows);
    if (r % kBlockRows >= distance) sum += before;
  }
  gates.sum[r] = sum;
  gates.beta[r] = gate.beta;
}

/// Of one row, as in ChunkOperators.
struct RowDecays {
  float from_start;
  float to_end;
};

/// The decays of row `r` of the tile, once all sums stand.
__device__ __forceinline__ RowDecays decays_of_row(const TileBlock* blocks, int r,
                                                   TileGates& gates) {
  const int own = r / kBlockRows;
  const float sum = gates.sum[r];
  const float left_in_block = gates.sum_of_block(own) - sum;
  float before = 0.0f;
  float after = 0.0f;
#pragma unroll
  for (int block = 0; block < kChunkBlocks; ++block) {
    if (block >= blocks[own].first_block && block < own) before += gates.sum_of_block(block);
    if (block < blocks[own].end_block && block > own) after += gates.sum_of_block(block);
  }
  gates.to_row[r] = exp_f32(sum);
  gates.to_block_end[r] = exp_f32(left_in_block);
  if (r < kChunkBlocks * kChunkBlocks) {
    const int row_block = r / kChunkBlocks;
    const int column_block = r % kChunkBlocks;
    float between = 0.0f;
    for (int block = column_block + 1; block < row_block; ++block) {
      between += gates.sum_of_block(block);
    }
    gates.between[row_block][column_block] = exp_f32(between);
  }
  return {exp_f32(before + sum), exp_f32(left_in_block + after)};
}

/// Blocks of M and P from those of K K^T and Q K^T, by one warp: the diagonal one of rows `own`, and
/// one below the diagonal.
__device__ __forceinline__ void gate_diagonal(const float (&kk)[2][4], const float (&qk)[2][4],
                                              const TileGates& gates, int own, int lane,
                                              TileCoupling& coupling, float (&attend)[2][4]) {
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = lane / 4 + 8 * half;
      const int j = lane % 4 * 2 + 8 * n;
      float m[2] = {};
      attend[n][2 * half] = attend[n][2 * half + 1] = 0.0f;
      if (n <= half) {
        const float sum = gates.sum[kBlockRows * own + i];
        const float beta = gates.beta[kBlockRows * own + i];
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          // Above the diagonal the difference is positive and its exponential may be infinite.
          const bool is_past = i >= j + e;
          const float decay = exp_f32(is_past ? sum - gates.sum[kBlockRows * own + j + e] : 0.0f);
          m[e] = beta * (decay * kk[n][2 * half + e]);
          attend[n][2 * half + e] = is_past ? decay * qk[n][2 * half + e] : 0.0f;
        }
      }
      *reinterpret_cast<float2*>(&coupling.diagonal[own].row[i][j]) = make_float2(m[0], m[1]);
    }
  }
}

__device__ __forceinline__ void gate_below(const float (&kk)[2][4], const float (&qk)[2][4],
                                           const TileGates& gates, int own, int other, int lane,
                                           TileCoupling& coupling, float (&attend)[2][4]) {
  auto& below = coupling.below[TileCoupling::place_below(own, other)];
  const float between = gates.between[own][other];
  float beta[2], to_row[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int i = kBlockRows * own + lane / 4 + 8 * half;
    beta[half] = gates.beta[i];
    to_row[half] = between * gates.to_row[i];
  }
#pragma unroll
  for (int n = 0; n < 2; ++n) {
    const float* first = &gates.to_block_end[kBlockRows * other + lane % 4 * 2 + 8 * n];
    const float2 to_block_end = *reinterpret_cast<const float2*>(first);
    float m[4];
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const float decay = to_row[e / 2] * (e % 2 == 0 ? to_block_end.x : to_block_end.y);
      m[e] = -(beta[e / 2] * (decay * kk[n][e]));
      attend[n][e] = decay * qk[n][e];
    }
    const SplitPair upper(m[0], m[1]);
    const SplitPair lower(m[2], m[3]);
    below[0][n][lane] = make_uint2(upper.high, lower.high);
    below[1][n][lane] = make_uint2(upper.low, lower.low);
  }
}

/// M and P of the rows of block `own`, by one warp.
template <typename T>
__device__ __forceinline__ void apply_gates(const TileBlock* blocks, int own,
                                            const KeyProducts& products, const TileGates& gates,
                                            TileCoupling& coupling, ChunkOperators<T>& operators) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int other = 0; other < kChunkBlocks; ++other) {
    if (other < blocks[own].first_block || other > own) continue;
    float attend[2][4];
    if (other == own) {
      gate_diagonal(products.kk[other], products.qk[other], gates, own, lane, coupling, attend);
    } else {
      gate_below(products.kk[other], products.qk[other], gates, own, other, lane, coupling, attend);
    }
    store_block(attend, operators.attend, own, other, lane);
  }
}

}  // namespace packproof
