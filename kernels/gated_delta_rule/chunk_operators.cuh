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

/// The log gates of a tile's rows and their sums gamma, in shared memory.
struct alignas(16) TileGates {
  float log_decay[kChunkRows];
  float gamma[kChunkRows];
};

/// M, in shared memory, on and below the diagonal of blocks; and what chunk_inverse.cuh makes of it.
/// Two of them lie in different banks.
struct alignas(16) TileCoupling {
  static constexpr int kUnused = 4;
  float m[kChunkRows][kChunkRows + kUnused];
  float diagonal[kChunkRows][kBlockRows + kUnused];
  float unused[kUnused];
};

/// One warp for each block of rows; a thread for each column of A of up to two heads.
inline constexpr int kOperatorThreads = 32 * kChunkBlocks;
inline constexpr int kMaxOperatorHeads = kOperatorThreads / kChunkRows;

template <typename T, int kColumns>
__device__ __forceinline__ void multiply_keys(const RowTile<T, kColumns>& q,
                                              const RowTile<T, kColumns>& k,
                                              const TileBlock* blocks, KeyProducts& products) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int own = static_cast<int>(threadIdx.x) / 32;
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

/// The log gates and beta of row `r` of the tile.
template <typename T>
__device__ __forceinline__ void load_gate(const DeltaRuleTokens<T>& tokens, const TileBlock* blocks,
                                          int head, int r, TileGates& gates,
                                          ChunkOperators<T>& operators) {
  const TileBlock& block = blocks[r / kBlockRows];
  const bool holds_token = r % kBlockRows < block.rows;
  const int64_t row = block.first_row + r % kBlockRows;
  gates.log_decay[r] =
      holds_token ? bounded_log_decay(log_decay_of(tokens, block.batch, row, head)) : 0.0f;
  operators.beta[r] = holds_token ? tokens.beta.load(block.batch, row, head) : 0.0f;
}

/// gamma of row `r`, from the start of its sequence's rows in this tile.
__device__ __forceinline__ void sum_gates(const TileBlock* blocks, int r, TileGates& gates) {
  float gamma = 0.0f;
  for (int j = kBlockRows * blocks[r / kBlockRows].first_block; j <= r; j += 4) {
    const float4 four = *reinterpret_cast<const float4*>(&gates.log_decay[j]);
    gamma += four.x;
    if (j + 1 <= r) gamma += four.y;
    if (j + 2 <= r) gamma += four.z;
    if (j + 3 <= r) gamma += four.w;
  }
  gates.gamma[r] = gamma;
}

/// The decays of rows, M, and P.
template <typename T>
__device__ __forceinline__ void apply_gates(const TileBlock* blocks, const KeyProducts& products,
                                            const TileGates& gates, TileCoupling& coupling,
                                            ChunkOperators<T>& operators) {
  const int thread = static_cast<int>(threadIdx.x);
  const int lane = thread % 32;
  const int own = thread / 32;
  if (thread < kChunkRows) {
    const TileBlock& block = blocks[thread / kBlockRows];
    const float gamma = gates.gamma[thread];
    const float gamma_last = gates.gamma[kBlockRows * block.end_block - 1];
    operators.from_start[thread] = exp_f32(gamma);
    operators.to_end[thread] = exp_f32(gamma_last - gamma);
  }
  const int first = blocks[own].first_block;
#pragma unroll
  for (int other = 0; other < kChunkBlocks; ++other) {
    if (other < first || other > own) continue;
    float attend[2][4];
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int i = kBlockRows * own + lane / 4 + 8 * half;
        const int j = kBlockRows * other + 8 * n + lane % 4 * 2;
        const float gamma = gates.gamma[i];
        const float beta = operators.beta[i];
        float m[2];
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          // Above the diagonal the difference is positive and its exponential may be infinite.
          const bool is_past = i >= j + e;
          const float decay = exp_f32(is_past ? gamma - gates.gamma[j + e] : 0.0f);
          m[e] = beta * (decay * products.kk[other][n][2 * half + e]);
          attend[n][2 * half + e] = is_past ? decay * products.qk[other][n][2 * half + e] : 0.0f;
        }
        *reinterpret_cast<float2*>(&coupling.m[i][j]) = make_float2(m[0], m[1]);
      }
    }
    store_block(attend, operators.attend, own, other, lane);
  }
}

}  // namespace packproof
