#pragma once

#include "kernels/common/lanes.cuh"
#include "kernels/common/load_store.cuh"
#include "kernels/common/math.cuh"
#include "kernels/common/piece.cuh"
#include "kernels/common/platform.cuh"
#include "kernels/common/sequence.cuh"
#include "kernels/ptx/copy_async.cuh"
#include "kernels/ptx/pair.cuh"

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
  static constexpr int kRowPitch = kNumColumns + kPieceElements;
  T row[kChunkRows][kRowPitch];

  __device__ T* at(int r, int column) { return &row[r][column]; }
};

/// The same rows by pieces of eight columns, whose 8 x 8 squares are core matrices of
/// ptx/warpgroup_mma.cuh. The last block of rows comes first, as in TriangularBlocks.
template <typename T, int kNumColumns>
struct alignas(16) PieceTile {
  static constexpr int kColumns = kNumColumns;
  T piece[kNumColumns / kPieceElements][kChunkRows][kPieceElements];

  static constexpr int kRowStep = 8 * kPieceBytes;  ///< From eight rows of `piece` to the next.
  static constexpr int kColumnStep = static_cast<int>(sizeof(piece[0]));  ///< Eight columns.

  /// Where row r stands among the rows of a piece, and which row stands at r.
  __device__ static constexpr int place(int r) {
    return kChunkRows - kBlockRows - r / kBlockRows * kBlockRows + r % kBlockRows;
  }
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

/// Rows at equal distances: `count` of them, then zeros.
template <typename T>
struct RowRun {
  const T* first;
  int count;
  int64_t row_stride;
  int64_t column_stride;
  int num_columns;
  bool aligned;
};

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

  /// `num_rows` rows from `row` on.
  __device__ RowRun<T> run(int64_t batch, int64_t row, int num_rows) const {
    return {at(batch, row, 0), num_rows, view.stride[1], view.stride[3], count, aligned};
  }
};

/// How kThreads threads share the pieces of a tile: each keeps one column and takes every
/// kRowStep-th row.
template <typename Tile, int kThreads>
struct PieceOfThread {
  static constexpr int kPieces = Tile::kColumns / kPieceElements;
  static constexpr int kRowStep = kThreads / kPieces;
  static constexpr int kNumRows = kChunkRows / kRowStep;
  static_assert(kThreads % kPieces == 0 && kChunkRows % kRowStep == 0);

  int first_row;
  int column;

  __device__ explicit PieceOfThread(int thread)
      : first_row(thread / kPieces), column(thread % kPieces * kPieceElements) {}
};

/// One piece, element by element, or zeros where `from` is null.
template <typename T>
__device__ __forceinline__ void copy_piece(const T* from, int64_t column_stride, int num_columns,
                                           T* target) {
#pragma unroll
  for (int e = 0; e < kPieceElements; ++e) {
    const bool exists = from != nullptr && e < num_columns;
    target[e].bits = exists ? from[e * column_stride].bits : uint16_t{0};
  }
}

/// Fills rows 0 .. num_rows - 1 of a tile: of row r what row_at(r) points to, the first column, or
/// zeros where that is null. Threads 0 .. kThreads - 1 call it. Asynchronous where `aligned`: the
/// caller commits, waits, and synchronises in either case. Both ways move the same bits.
template <int kThreads, typename Tile, typename RowAt>
__device__ __forceinline__ void stage_rows(Tile& tile, int thread, int num_rows, int num_columns,
                                           int64_t column_stride, bool aligned,
                                           const void* any_address, RowAt row_at) {
  constexpr int kPieces = Tile::kColumns / kPieceElements;
  for (int i = thread; i < num_rows * kPieces; i += kThreads) {
    const int r = i / kPieces;
    const int column = i % kPieces * kPieceElements;
    const auto* row = column < num_columns ? row_at(r) : nullptr;
    const auto* from = row == nullptr ? nullptr : row + column * column_stride;
    auto* target = tile.at(r, column);
    if (aligned) {
      ptx::copy_async<kPieceBytes>(target, from != nullptr ? from : any_address,
                                   from != nullptr ? kPieceBytes : 0);
    } else {
      copy_piece(from, column_stride, num_columns - column, target);
    }
  }
}

/// The same for rows at equal distances: the addresses of a full tile need no branch.
template <int kThreads, typename Tile, typename T>
__device__ __forceinline__ void stage_run(Tile& tile, int thread, int num_rows,
                                          const RowRun<T>& rows) {
  // Beside the state of 256 keys there is no register left for addresses.
  if (Tile::kColumns > 128 || !rows.aligned || rows.count < kChunkRows) {
    stage_rows<kThreads>(tile, thread, num_rows, rows.num_columns, rows.column_stride, rows.aligned,
                         rows.first, [&](int r) -> const T* {
                           return r < rows.count ? rows.first + r * rows.row_stride : nullptr;
                         });
    return;
  }
  const PieceOfThread<Tile, kThreads> piece(thread);
  const bool has_column = piece.column < rows.num_columns;
  const int bytes = has_column ? kPieceBytes : 0;
  const T* from = rows.first + piece.first_row * rows.row_stride + (has_column ? piece.column : 0);
  T* target = tile.at(piece.first_row, piece.column);
#pragma unroll
  for (int i = 0; i < piece.kNumRows; ++i) {
    ptx::copy_async<kPieceBytes>(target + i * piece.kRowStep * Tile::kRowPitch,
                                 from + i * piece.kRowStep * rows.row_stride, bytes);
  }
}

/// kBytes, a multiple of 16, as they stand. Asynchronous: the caller commits, waits and synchronises.
template <int kThreads, int kBytes>
__device__ __forceinline__ void stage_bytes(void* target, const void* source, int thread) {
  auto* to = static_cast<unsigned char*>(target) + kPieceBytes * thread;
  const auto* from = static_cast<const unsigned char*>(source) + kPieceBytes * thread;
  constexpr int kStep = kPieceBytes * kThreads;
#pragma unroll
  for (int i = 0; i < kBytes; i += kStep) {
    if (i + kStep <= kBytes || i + kPieceBytes * thread < kBytes) {
      ptx::copy_async<kPieceBytes>(to + i, from + i);
    }
  }
}

/// Rows of the tokens that `blocks` name, zeros in the others. Aligned, a thread keeps its column: fewer
/// addresses to make.
template <int kThreads, typename Tile, typename T>
__device__ __forceinline__ void stage_blocks(Tile& tile, const TileBlock* blocks,
                                             const HeadColumns<T>& columns) {
  if (Tile::kColumns <= 128 && columns.aligned) {
    const PieceOfThread<Tile, kThreads> piece(static_cast<int>(threadIdx.x));
    const bool has_column = piece.column < columns.count;
#pragma unroll 2
    for (int i = 0; i < piece.kNumRows; ++i) {
      const int r = piece.first_row + i * piece.kRowStep;
      const TileBlock& block = blocks[r / kBlockRows];
      const int row = r % kBlockRows;
      const bool exists = has_column && row < block.rows;
      const T* from =
          exists ? columns.at(block.batch, block.first_row + row, piece.column) : columns.view.data;
      ptx::copy_async<kPieceBytes>(tile.at(r, piece.column), from, exists ? kPieceBytes : 0);
    }
    return;
  }
  stage_rows<kThreads>(tile, static_cast<int>(threadIdx.x), kChunkRows, columns.count,
                       columns.view.stride[3], columns.aligned, columns.view.data,
                       [&](int r) -> const T* {
                         const TileBlock& block = blocks[r / kBlockRows];
                         const int row = r % kBlockRows;
                         if (row >= block.rows) return nullptr;
                         return columns.at(block.batch, block.first_row + row, 0);
                       });
}

template <typename T>
__device__ __forceinline__ void unpack_piece(const uint4& piece, float (&x)[kPieceElements]) {
  const uint32_t pairs[4] = {piece.x, piece.y, piece.z, piece.w};
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    x[2 * i] = ptx::Pair<T>::low(pairs[i]);
    x[2 * i + 1] = ptx::Pair<T>::high(pairs[i]);
  }
}

template <typename T>
__device__ __forceinline__ uint4 pack_piece(const float (&x)[kPieceElements]) {
  using Pair = ptx::Pair<T>;
  return {Pair::pack(x[0], x[1]), Pair::pack(x[2], x[3]), Pair::pack(x[4], x[5]),
          Pair::pack(x[6], x[7])};
}

/// x <- x (sum x^2 + 1e-6)^-1/2 for all rows of two tiles (spec 2.2, l2norm), rounded to the storage
/// type. One thread a row; the caller synchronises before and after. Each piece of the result also
/// goes to visit(is_q, row, column, piece).
template <typename T, int kColumns, typename Visit>
__device__ __forceinline__ void l2_normalise_rows(RowTile<T, kColumns>& q, RowTile<T, kColumns>& k,
                                                  Visit visit) {
  for (int i = static_cast<int>(threadIdx.x); i < 2 * kChunkRows;
       i += static_cast<int>(blockDim.x)) {
    T* row = i < kChunkRows ? q.row[i] : k.row[i - kChunkRows];
    float squares[kPieceElements] = {};
#pragma unroll 4
    for (int column = 0; column < kColumns; column += kPieceElements) {
      float x[kPieceElements];
      unpack_piece<T>(load_piece(&row[column]), x);
#pragma unroll
      for (int e = 0; e < kPieceElements; ++e) squares[e] = fmaf(x[e], x[e], squares[e]);
    }
    const float inverse_norm = rsqrt_f32(sum(pack(squares)) + 1e-6f);
#pragma unroll 4
    for (int column = 0; column < kColumns; column += kPieceElements) {
      float x[kPieceElements];
      unpack_piece<T>(load_piece(&row[column]), x);
#pragma unroll
      for (int e = 0; e < kPieceElements; ++e) x[e] = inverse_norm * x[e];
      const uint4 piece = pack_piece<T>(x);
      store_piece(piece, &row[column]);
      visit(i < kChunkRows, i % kChunkRows, column, piece);
    }
  }
}

template <typename T, int kColumns>
__device__ __forceinline__ void l2_normalise_rows(RowTile<T, kColumns>& q,
                                                  RowTile<T, kColumns>& k) {
  l2_normalise_rows(q, k, [](bool, int, int, const uint4&) {});
}

}  // namespace packproof
