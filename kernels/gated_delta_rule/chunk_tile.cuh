#pragma once

#include "kernels/common/lanes.cuh"
#include "kernels/common/load_store.cuh"
#include "kernels/common/math.cuh"
#include "kernels/common/piece.cuh"
#include "kernels/common/platform.cuh"
#include "kernels/common/sequence.cuh"
#include "kernels/ptx/copy_async.cuh"

#include <cstdint>

namespace packproof {

inline constexpr int kChunkRows = 64;  ///< C of spec 3.2.
inline constexpr int kBlockRows = 16;  ///< Depth of a matrix product: no block has two sequences.
inline constexpr int kChunkBlocks = kChunkRows / kBlockRows;
inline constexpr int kPieceElements = kPieceBytes / 2;

/// Rows of q, k or v in shared memory. A row ends in 16 unused bytes, so that the eight rows of a
/// load_matrix lie in different banks.
template <typename T, int kNumColumns>
struct alignas(16) RowTile {
  static constexpr int kColumns = kNumColumns;
  T row[kChunkRows][kNumColumns + kPieceElements];
};

/// Blocks that a sequence with `rows` rows in a tile takes: an empty one takes one too.
__host__ __device__ inline int blocks_of(int64_t rows) {
  return rows <= kBlockRows ? 1 : static_cast<int>((rows + kBlockRows - 1) / kBlockRows);
}

/// What the 16 rows of a block hold: `rows` tokens of one sequence, then zeros. The sequence has the
/// blocks first_block .. end_block - 1 of the tile.
struct TileBlock {
  int64_t batch;
  int64_t first_row;
  int rows;
  int first_block;
  int end_block;
};

/// The block of tokens `done` .. of a sequence that takes the blocks first_block .. of a tile, for
/// rows that belong to one chunk.
__device__ inline TileBlock block_of(const SequenceRows& rows, int64_t done, int block,
                                     int first_block) {
  const int64_t left = rows.length - done;
  const int in_tile = left < kChunkRows ? static_cast<int>(left) : kChunkRows;
  const int before = kBlockRows * (block - first_block);
  const int here = in_tile - before;
  return {rows.batch, rows.first + done + before,
          here < 0 ? 0 : (here < kBlockRows ? here : kBlockRows), first_block,
          first_block + blocks_of(in_tile)};
}

/// One head of a token tensor, as it is copied into tiles.
template <typename T>
struct HeadColumns {
  StridedView<const T, 4> view;
  int64_t head;
  int first;     ///< Column of the tile's first one.
  int count;     ///< Columns that exist from there on; the tile's others become zeros.
  bool aligned;  ///< Pieces of 16 bytes may be copied.

  __device__ const T* at(int64_t batch, int64_t row, int column) const {
    return view.at(batch, row, head, first + column);
  }
};

/// Fills rows 0 .. num_rows - 1 of a tile: of row r what source(r, column) points to, or zeros where
/// that is null. All threads of the block call it. Asynchronous where `aligned`: the caller commits,
/// waits, and synchronises in either case. Both ways move the same bits.
template <typename Tile, typename Source>
__device__ __forceinline__ void stage_rows(Tile& tile, int num_rows, int num_columns,
                                           int64_t column_stride, bool aligned,
                                           const void* any_address, Source source) {
  constexpr int kPieces = Tile::kColumns / kPieceElements;
  for (int i = static_cast<int>(threadIdx.x); i < num_rows * kPieces;
       i += static_cast<int>(blockDim.x)) {
    const int r = i / kPieces;
    const int column = i % kPieces * kPieceElements;
    auto* target = &tile.row[r][column];
    const auto* from = column < num_columns ? source(r, column) : nullptr;
    if (aligned) {
      ptx::copy_async<kPieceBytes>(target, from != nullptr ? from : any_address,
                                   from != nullptr ? kPieceBytes : 0);
    } else {
#pragma unroll
      for (int e = 0; e < kPieceElements; ++e) {
        const bool exists = from != nullptr && column + e < num_columns;
        target[e].bits = exists ? from[e * column_stride].bits : uint16_t{0};
      }
    }
  }
}

/// The same for rows of the tokens that `blocks` name.
template <typename Tile, typename T>
__device__ __forceinline__ void stage_blocks(Tile& tile, const TileBlock* blocks,
                                             const HeadColumns<T>& columns) {
  stage_rows(tile, kChunkRows, columns.count, columns.view.stride[3], columns.aligned,
             columns.view.data, [&](int r, int column) -> const T* {
               const TileBlock& block = blocks[r / kBlockRows];
               const int row = r % kBlockRows;
               if (row >= block.rows) return nullptr;
               return columns.at(block.batch, block.first_row + row, column);
             });
}

/// x <- x (sum x^2 + 1e-6)^-1/2 for all rows of two tiles (spec 2.2, l2norm), rounded to the storage
/// type. One thread a row; the caller synchronises before and after.
template <typename T, int kColumns>
__device__ __forceinline__ void l2_normalise_rows(RowTile<T, kColumns>& q,
                                                  RowTile<T, kColumns>& k) {
  for (int i = static_cast<int>(threadIdx.x); i < 2 * kChunkRows;
       i += static_cast<int>(blockDim.x)) {
    T* row = i < kChunkRows ? q.row[i] : k.row[i - kChunkRows];
    float squares[kPieceElements] = {};
#pragma unroll 4
    for (int column = 0; column < kColumns; column += kPieceElements) {
#pragma unroll
      for (int e = 0; e < kPieceElements; ++e) {
        const float x = to_float(row[column + e]);
        squares[e] = fmaf(x, x, squares[e]);
      }
    }
    const float inverse_norm = rsqrt_f32(sum(pack(squares)) + 1e-6f);
#pragma unroll 4
    for (int column = 0; column < kColumns; column += kPieceElements) {
#pragma unroll
      for (int e = 0; e < kPieceElements; ++e) {
        row[column + e] = from_float<T>(inverse_norm * to_float(row[column + e]));
      }
    }
  }
}

}  // namespace packproof
