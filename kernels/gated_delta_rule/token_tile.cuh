#pragma once

#include "kernels/common/lanes.cuh"
#include "kernels/common/load_store.cuh"
#include "kernels/common/math.cuh"
#include "kernels/common/platform.cuh"

#include <cstdint>

namespace packproof {

/// Token tensors of the delta rule, [B, T, heads, size]; ops without a batch axis have stride 0
/// there. Exactly one of `g` and `a` is present.
template <typename T>
struct DeltaRuleTokens {
  StridedView<const T, 4> q, k, v;
  StridedView<const float, 3> g;
  StridedView<const T, 3> a;
  StridedView<const float, 1> A_log, dt_bias;
  StridedView<const T, 3> beta;
  int head_k_dim;
  int head_v_dim;
  int heads_per_group;
  bool qk_l2norm;
  float scale;
};

/// What every column of a head needs of the next tokens, in shared memory: 8 kKeySize + 40 bytes a
/// token. Rows are padded by 16 bytes: threads that each walk one row then meet different banks.
template <int kKeySize, int kMaxTokens>
struct alignas(16) TokenTile {
  static constexpr int kTokens = kMaxTokens;

  float q[kMaxTokens][kKeySize + 4];
  float k[kMaxTokens][kKeySize + 4];
  float decay[kMaxTokens];  ///< exp(g)
  float beta[kMaxTokens];
};

/// g, given or -exp(A_log) softplus(a + dt_bias) (spec 2.5, step 5).
template <typename T>
__device__ float log_decay_of(const DeltaRuleTokens<T>& tokens, int64_t batch, int64_t row,
                              int head) {
  if (tokens.g.data != nullptr) return tokens.g.load(batch, row, head);
  const float rate = exp_f32(tokens.A_log.load(head));
  const float step = softplus_f32(tokens.a.load(batch, row, head) + tokens.dt_bias.load(head));
  return -(rate * step);
}

/// Copies `count` tokens from row `first` on, for value head `head`, zero beyond head_k_dim. All
/// threads of the block call it; the caller synchronises.
template <typename T, typename Tile>
__device__ void stage_tokens(const DeltaRuleTokens<T>& tokens, int64_t batch, int64_t first,
                             int count, int head, Tile& tile) {
  constexpr int kKeySize = sizeof(tile.q[0]) / sizeof(float) - 4;
  const int key_head = head / tokens.heads_per_group;
  const int num_threads = static_cast<int>(blockDim.x);
  for (int i = static_cast<int>(threadIdx.x); i < count * kKeySize; i += num_threads) {
    const int token = i / kKeySize;
    const int element = i % kKeySize;
    const bool inside = element < tokens.head_k_dim;
    tile.q[token][element] = inside ? tokens.q.load(batch, first + token, key_head, element) : 0.0f;
    tile.k[token][element] = inside ? tokens.k.load(batch, first + token, key_head, element) : 0.0f;
  }
  for (int token = static_cast<int>(threadIdx.x); token < count; token += num_threads) {
    tile.decay[token] = exp_f32(log_decay_of(tokens, batch, first + token, head));
    tile.beta[token] = tokens.beta.load(batch, first + token, head);
  }
}

/// x <- x (sum x^2 + 1e-6)^-1/2 for the staged rows of q and k (spec 2.2, l2norm), one thread a row
/// so that no meeting is needed within it. The loops stay loops: unrolled, a row would take as many
/// registers as the state that waits meanwhile. The caller synchronises before and after.
template <typename Tile>
__device__ void l2_normalise(int count, Tile& tile) {
  constexpr int kNumEights = (sizeof(tile.q[0]) / sizeof(float) - 4) / kNumLanes;
  for (int i = static_cast<int>(threadIdx.x); i < 2 * count; i += static_cast<int>(blockDim.x)) {
    float* row = i < count ? tile.q[i] : tile.k[i - count];
    Lanes squares = all_lanes(0.0f);
#pragma unroll 1
    for (int j = 0; j < kNumEights; ++j) {
      const Lanes x = load_lanes(row + kNumLanes * j);
      squares = multiply_add(x, x, squares);
    }
    const float inverse_norm = rsqrt_f32(sum(squares) + 1e-6f);
#pragma unroll 1
    for (int j = 0; j < kNumEights; ++j) {
      store_lanes(multiply(inverse_norm, load_lanes(row + kNumLanes * j)), row + kNumLanes * j);
    }
  }
}

}  // namespace packproof
