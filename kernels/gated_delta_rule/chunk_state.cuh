#pragma once

#include "kernels/common/load_store.cuh"
#include "kernels/common/platform.cuh"
#include "kernels/gated_delta_rule/chunk_fragments.cuh"
#include "kernels/gated_delta_rule/chunk_operators.cuh"
#include "kernels/gated_delta_rule/chunk_tile.cuh"

#include <cstdint>

namespace packproof {

inline constexpr int kWarpColumns = 16;  ///< Of V, hence of the state, that one warp owns.

/// The rows of one sequence in a tile.
struct TileRows {
  int first_block;
  int num_blocks;
  int rows;
};

/// Sixteen columns of one head's state S [K, V] as the accumulators S^T of one warp, in float. Lane
/// 4 g + t holds keys 8 n + 2 t, + 1 of columns g and g + 8 in s[n / 2][n % 2].
template <int kKeys>
struct StateColumns {
  float s[kKeys / 16][2][4];

  /// Of `head` of `slot`, column first_column on, or zeros where there is no state.
  __device__ __forceinline__ void load(const StridedView<const float, 4>& view, int64_t slot,
                                       int head, int first_column, int head_k_dim, int head_v_dim) {
    const bool is_zero = view.data == nullptr || slot < 0;
    const HeadState<const float> state{view, is_zero ? 0 : slot, head, head_k_dim, head_v_dim};
    for_each_element(state, first_column, [&](float& element, const float* at, bool exists) {
      element = exists && !is_zero ? *at : 0.0f;
    });
  }

  __device__ __forceinline__ void store(const StridedView<float, 4>& view, int64_t slot, int head,
                                        int first_column, int head_k_dim, int head_v_dim) {
    if (view.data == nullptr || slot < 0) return;
    const HeadState<float> state{view, slot, head, head_k_dim, head_v_dim};
    for_each_element(state, first_column, [&](const float& element, float* at, bool exists) {
      if (exists) *at = element;
    });
  }

 private:
  template <typename Element>
  struct HeadState {
    const StridedView<Element, 4>& view;
    int64_t slot;
    int head;
    int head_k_dim;
    int head_v_dim;
  };

  /// Calls visit(element, its address in the state, whether there is one).
  template <typename Element, typename Visit>
  __device__ __forceinline__ void for_each_element(const HeadState<Element>& state,
                                                   int first_column, Visit visit) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    const int key = lane % 4 * 2;
    const int column = first_column + lane / 4;
    const bool has_column[2] = {column < state.head_v_dim, column + 8 < state.head_v_dim};
    const int64_t next_key = state.view.stride[2];
    const int64_t other_column = 8 * state.view.stride[3];
    Element* at = state.view.at(state.slot, state.head, key, column);
#pragma unroll
    for (int n = 0; n < kKeys / 8; ++n) {
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const bool exists = has_column[e / 2] && key + 8 * n + e % 2 < state.head_k_dim;
        visit(s[n / 2][n % 2][e], at + e % 2 * next_key + e / 2 * other_column, exists);
      }
      at += 8 * next_key;
    }
  }
};

/// One factor for each row, of the 16 rows of a transposed block, read in pairs.
class RowFactors {
 public:
  __device__ __forceinline__ RowFactors(const float (&factors)[kChunkRows], int first_row, int lane)
      : first_(&factors[first_row + lane % 4 * 2]) {}

  /// That of element [n][e].
  __device__ __forceinline__ float operator()(int n, int e) const {
    const float2 pair = *reinterpret_cast<const float2*>(first_ + 8 * n);
    return e % 2 == 0 ? pair.x : pair.y;
  }

 private:
  const float* first_;
};

/// Calls visit(n, e) for the elements of a block of accumulators.
template <typename Visit>
__device__ __forceinline__ void for_each_of_block(Visit visit) {
#pragma unroll
  for (int n = 0; n < 2; ++n) {
#pragma unroll
    for (int e = 0; e < 4; ++e) visit(n, e);
  }
}

/// Sixteen columns of a state, and the chunked rule of spec 3.2 on them. Columns never meet, so warps
/// do not either:
///
///   X = diag(beta) (V - diag(Gam) K H)     Delta = A X     O = diag(Gam) Q H + P Delta
///   H' = Gam_last H + K^T diag(exp(gamma_last - gamma)) Delta
///
/// all transposed. As factors, H, X, Delta and the decayed Delta are rounded to the storage type T;
/// A and P were; sums and the carried state are float.
template <typename T, int kKeys>
class ChunkState {
 public:
  /// As StateColumns does.
  __device__ __forceinline__ void load(const StridedView<const float, 4>& view, int64_t slot,
                                       int head, int first_column, int head_k_dim, int head_v_dim) {
    is_zero_ = view.data == nullptr || slot < 0;
    columns_.load(view, slot, head, first_column, head_k_dim, head_v_dim);
  }

  __device__ __forceinline__ void store(const StridedView<float, 4>& view, int64_t slot, int head,
                                        int first_column, int head_k_dim, int head_v_dim) {
    columns_.store(view, slot, head, first_column, head_k_dim, head_v_dim);
  }

  /// Takes the state over the rows of one sequence; `output` becomes O^T / scale by blocks.
  /// `column` is the warp's first one in `v`. A state that nobody asks for is not carried on.
  template <typename ValueTile>
  __device__ __forceinline__ void advance(const RowTile<T, kKeys>& q, const RowTile<T, kKeys>& k,
                                          const ValueTile& v, const ChunkOperators<T>& operators,
                                          const TileRows& rows, int column, bool carry,
                                          float (&output)[kChunkBlocks][2][4]) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
    float x[kChunkBlocks][2][4];
    set_zero(x);
    set_zero(output);
    // With 256 keys the registers do not hold all results beside the state: block by block then.
    constexpr bool kReadsTogether = kKeys <= 128;
    if (kReadsTogether && !is_zero_) read(q, k, rows, lane, output, x);
    uint32_t corrections[kChunkBlocks][4];  // X^T
#pragma unroll
    for (int block = 0; block < kChunkBlocks; ++block) {
      if (block >= rows.num_blocks) continue;
      const int row = kBlockRows * (rows.first_block + block);
      if (!kReadsTogether) read_block(k, row, lane, x[block]);
      float values[2][4];
      load_transposed<T>(v, row, column, lane, values);
      const RowFactors from_start(operators.from_start, row, lane);
      const RowFactors beta(operators.beta, row, lane);
      for_each_of_block([&](int n, int e) {
        const float predicted = from_start(n, e) * x[block][n][e];
        x[block][n][e] = beta(n, e) * (values[n][e] - predicted);
      });
      round_to_left<T>(x[block], corrections[block]);
    }

    uint32_t deltas[kChunkBlocks][4];   // Delta^T
    uint32_t updates[kChunkBlocks][4];  // the same, decayed to the chunk's end
#pragma unroll
    for (int block = 0; block < kChunkBlocks; ++block) {
      if (block >= rows.num_blocks) continue;
      const int row_block = rows.first_block + block;
      float delta[2][4] = {};
#pragma unroll
      for (int past = 0; past <= block; ++past) {
        uint32_t solve[4];
        load_right_transposed(operators.solve, row_block, rows.first_block + past, lane, solve);
        multiply_add<T>(delta, corrections[past], solve);
      }
      round_to_left<T>(delta, deltas[block]);
      const RowFactors to_end(operators.to_end, kBlockRows * row_block, lane);
      for_each_of_block([&](int n, int e) { delta[n][e] *= to_end(n, e); });
      round_to_left<T>(delta, updates[block]);
    }

#pragma unroll
    for (int block = 0; block < kChunkBlocks; ++block) {
      if (block >= rows.num_blocks) continue;
      const int row_block = rows.first_block + block;
      if (!kReadsTogether) {
        read_block(q, kBlockRows * row_block, lane, output[block]);
      }
      const RowFactors from_start(operators.from_start, kBlockRows * row_block, lane);
      for_each_of_block([&](int n, int e) { output[block][n][e] *= from_start(n, e); });
#pragma unroll
      for (int past = 0; past <= block; ++past) {
        uint32_t attend[4];
        load_right_transposed(operators.attend, row_block, rows.first_block + past, lane, attend);
        multiply_add<T>(output[block], deltas[past], attend);
      }
    }
    if (carry) update(k, operators, rows, lane, updates);
  }

 private:
  __device__ __forceinline__ static void set_zero(float (&blocks)[kChunkBlocks][2][4]) {
#pragma unroll
    for (int i = 0; i < kChunkBlocks * 8; ++i) blocks[i / 8][i / 4 % 2][i % 4] = 0.0f;
  }

  /// output += H^T Q^T and x += H^T K^T, H rounded.
  __device__ __forceinline__ void read(const RowTile<T, kKeys>& q, const RowTile<T, kKeys>& k,
                                       const TileRows& rows, int lane,
                                       float (&output)[kChunkBlocks][2][4],
                                       float (&x)[kChunkBlocks][2][4]) const {
#pragma unroll
    for (int key = 0; key < kKeys; key += 16) {
      uint32_t state[4];
      round_to_left<T>(columns_.s[key / 16], state);
#pragma unroll
      for (int block = 0; block < kChunkBlocks; ++block) {
        if (block >= rows.num_blocks) continue;
        const int row = kBlockRows * (rows.first_block + block);
        uint32_t right[4];
        load_right_transposed(k, row, key, lane, right);
        multiply_add<T>(x[block], state, right);
        load_right_transposed(q, row, key, lane, right);
        multiply_add<T>(output[block], state, right);
      }
    }
  }

  /// The same sums for the rows of one block of q or k.
  __device__ __forceinline__ void read_block(const RowTile<T, kKeys>& tile, int row, int lane,
                                             float (&sums)[2][4]) const {
#pragma unroll
    for (int key = 0; key < kKeys; key += 16) {
      uint32_t state[4], right[4];
      round_to_left<T>(columns_.s[key / 16], state);
      load_right_transposed(tile, row, key, lane, right);
      multiply_add<T>(sums, state, right);
    }
  }

  /// H^T <- Gam_last H^T + updates^T K.
  __device__ __forceinline__ void update(const RowTile<T, kKeys>& k,
                                         const ChunkOperators<T>& operators, const TileRows& rows,
                                         int lane, const uint32_t (&updates)[kChunkBlocks][4]) {
    const int last = kBlockRows * (rows.first_block + rows.num_blocks) - 1;
    const float decay = operators.from_start[last];
#pragma unroll
    for (int key = 0; key < kKeys; key += 16) {
      float(&s)[2][4] = columns_.s[key / 16];
#pragma unroll
      for (int e = 0; e < 8; ++e) s[e / 4][e % 4] *= decay;
#pragma unroll
      for (int block = 0; block < kChunkBlocks; ++block) {
        if (block >= rows.num_blocks) continue;
        uint32_t keys[4];
        load_right(k, kBlockRows * (rows.first_block + block), key, lane, keys);
        multiply_add<T>(s, updates[block], keys);
      }
    }
    is_zero_ = false;
  }

  StateColumns<kKeys> columns_;
  bool is_zero_ = true;
};

/// Writes rows of one warp's 16 columns of a tile, which the warp alone has filled, in pieces of 16
/// bytes; no lane may touch them before it returns.
template <typename T, typename Tile>
__device__ __forceinline__ void write_rows(Tile& tile, const TileRows& rows, int column, T* first,
                                           int64_t row_stride, int64_t column_stride,
                                           int num_columns, bool aligned) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int piece = lane % 2 * kPieceElements;
  const int num_rows = piece < num_columns ? rows.rows : 0;
  const T* from = tile.at(kBlockRows * rows.first_block + lane / 2, column + piece);
  T* to = first + lane / 2 * row_stride + piece * column_stride;
  __syncwarp();  // the rows are complete
  if (aligned) {
#pragma unroll
    for (int row = 0; row < kChunkRows; row += kBlockRows) {
      if (row + lane / 2 < num_rows) {
        store_piece(load_piece(from + row * Tile::kRowPitch), to + row * row_stride);
      }
    }
  } else {
#pragma unroll
    for (int row = 0; row < kChunkRows; row += kBlockRows) {
      if (row + lane / 2 >= num_rows) continue;
#pragma unroll
      for (int e = 0; e < kPieceElements; ++e) {
        if (piece + e >= num_columns) continue;
        to[row * row_stride + e * column_stride] = from[row * Tile::kRowPitch + e];
      }
    }
  }
  __syncwarp();  // the rows may be overwritten
}

/// Rounds scale O and writes the warp's 16 columns of it: through `v`, whose values of these rows
/// and columns the warp no longer needs, so that a row is written in pieces of 16 bytes.
template <typename T, typename ValueTile>
__device__ __forceinline__ void store_output(const float (&output)[kChunkBlocks][2][4], float scale,
                                             const TileRows& rows, int column, ValueTile& v,
                                             T* first, int64_t row_stride, int64_t column_stride,
                                             int num_columns, bool aligned) {
  constexpr int kPitch = ValueTile::kRowPitch;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  __syncwarp();  // all lanes have read the values
#pragma unroll
  for (int block = 0; block < kChunkBlocks; ++block) {
    if (block >= rows.num_blocks) continue;
    const int row = kBlockRows * (rows.first_block + block);
#pragma unroll
    for (int n = 0; n < 2; ++n) {
#pragma unroll
      for (int e = 0; e < 4; e += 2) {
        const uint32_t pair =
            ptx::Pair<T>::pack(scale * output[block][n][e], scale * output[block][n][e + 1]);
        T* target = &v.row[row + 8 * n + lane % 4 * 2][column + lane / 4 + e / 2 * 8];
        target[0].bits = static_cast<uint16_t>(pair);
        target[kPitch].bits = static_cast<uint16_t>(pair >> 16);
      }
    }
  }
  write_rows(v, rows, column, first, row_stride, column_stride, num_columns, aligned);
}

}  // namespace packproof
