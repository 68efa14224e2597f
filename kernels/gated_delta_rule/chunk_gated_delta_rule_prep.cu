// prep: A and P of every chunk (chunk_operators.cuh) for sequences of several chunks, which need no
// state and so run side by side; `scan` then walks each sequence with them.
//
// Mapping     grid chunks * key heads * pairs of their value heads, 4 warps. Warp w owns the products
//             K K^T and Q K^T of rows 16 w .. 16 w + 15; chunk_inverse.cuh says who makes A.
// Writes      ChunkOperators of each value head (11,008 bytes), kept for a backward pass; with
//             qk_l2norm, or where q and k are not aligned, copies of q and k for `scan`; for the
//             scan of sm_90 always, as its tiles hold them.
// Shared      PrepShared: 68,256 bytes for 128 keys; M takes the place of q and k.
// Bits        A chunk's results depend on its rows alone; all sums have a fixed order.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/gated_delta_rule/chunk_inverse.cuh"
#include "kernels/gated_delta_rule/chunk_kernels.h"
#include "kernels/gated_delta_rule/chunk_operators.cuh"

namespace packproof {
namespace {

template <typename T, int kKeys>
struct PrepShared {
  union {
    struct {
      RowTile<T, kKeys> q, k;
    } tiles;

    TileCoupling couplings[kMaxOperatorHeads];  // once the products of q and k are taken
  };

  ChunkOperators<T> operators[kMaxOperatorHeads];
  TileGates gates[kMaxOperatorHeads];
  TileBlock blocks[kChunkBlocks];
};

template <typename T, int kKeys>
__device__ __forceinline__ void copy_keys(const RowTile<T, kKeys>& tile, bool in_pieces,
                                          T* target) {
  constexpr int kPieces = kKeys / kPieceElements;
  for (int i = static_cast<int>(threadIdx.x); i < kChunkRows * kPieces; i += kOperatorThreads) {
    const int row = in_pieces ? PieceTile<T, kKeys>::place(i % kChunkRows) : i / kPieces;
    const int piece = in_pieces ? i / kChunkRows : i % kPieces;
    store_piece(load_piece(&tile.row[row][piece * kPieceElements]), target + kPieceElements * i);
  }
}

template <typename T>
__device__ __forceinline__ void copy_operators(const ChunkOperators<T>& operators,
                                               ChunkOperators<T>& target) {
  const auto* from = reinterpret_cast<const unsigned char*>(&operators);
  auto* to = reinterpret_cast<unsigned char*>(&target);
  for (int offset = kPieceBytes * static_cast<int>(threadIdx.x);
       offset < static_cast<int>(sizeof(operators)); offset += kPieceBytes * kOperatorThreads) {
    store_piece(load_piece(from + offset), to + offset);
  }
}

template <typename T, int kKeys>
__global__ void __launch_bounds__(kOperatorThreads, 3) chunk_prep(ChunkParams<T> params) {
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const int num_pairs = (tokens.heads_per_group + kMaxOperatorHeads - 1) / kMaxOperatorHeads;
  const int blocks_of_chunk = params.num_k_heads * num_pairs;
  const int chunk = static_cast<int>(blockIdx.x) / blocks_of_chunk;
  const int key_head = static_cast<int>(blockIdx.x) % blocks_of_chunk / num_pairs;
  const int pair = static_cast<int>(blockIdx.x) % num_pairs;
  if (chunk >= params.schedule.counts->num_chunks) return;
  auto& shared = block_shared<PrepShared<T, kKeys>>();
  auto& [q, k] = shared.tiles;
  const int thread = static_cast<int>(threadIdx.x);
  const int heads_before = kMaxOperatorHeads * pair;
  const int first_head = key_head * tokens.heads_per_group + heads_before;
  const int num_heads = min(tokens.heads_per_group - heads_before, kMaxOperatorHeads);

  const ChunkOfSequence place = params.schedule.chunks[chunk];
  const SequenceRows rows = rows_of(params.sequences, place.sequence);
  const int64_t done = int64_t{kChunkRows} * place.index;
  if (thread < kChunkBlocks) {
    // Rows behind the last token are rows of zeros: A and P are whole for whoever takes them whole.
    shared.blocks[thread] = block_of(rows, done, thread, 0);
    shared.blocks[thread].end_block = kChunkBlocks;
  }
  __syncthreads();  // blocks stand
  const int num_keys = tokens.head_k_dim;
  const int num_rows =
      rows.length - done < kChunkRows ? static_cast<int>(rows.length - done) : kChunkRows;
  const auto stage_keys = [&](RowTile<T, kKeys>& tile, const StridedView<const T, 4>& view) {
    const HeadColumns<T> columns{view, key_head, 0, num_keys, params.keys_aligned};
    stage_run<kOperatorThreads>(tile, thread, kChunkRows,
                                columns.run(rows.batch, rows.first + done, num_rows));
  };
  stage_keys(q, tokens.q);
  stage_keys(k, tokens.k);
  ptx::copy_async_commit();
  const int own_head = thread / kChunkRows;
  const int own_row = thread % kChunkRows;
  if (own_head < num_heads) {
    load_gate(tokens, shared.blocks, first_head + own_head, own_row, shared.gates[own_head],
              shared.operators[own_head]);
  }
  ptx::copy_async_wait<0>();
  __syncthreads();  // q, k and gates stand
  if (own_head < num_heads) sum_gates(shared.blocks, own_row, shared.gates[own_head]);
  if (tokens.qk_l2norm) l2_normalise_rows(q, k);
  __syncthreads();  // gamma stands, and q and k are normalised
  if (params.key_copies.data != nullptr && pair == 0) {
    const int64_t chunk_head = int64_t{chunk} * params.num_k_heads + key_head;
    copy_keys(q, params.key_copies.in_pieces, params.key_copies.q(chunk_head));
    copy_keys(k, params.key_copies.in_pieces, params.key_copies.k(chunk_head));
  }
  KeyProducts products;
  multiply_keys(q, k, shared.blocks, products);
  __syncthreads();  // q and k are no longer read
  for (int i = 0; i < num_heads; ++i) {
    apply_gates(shared.blocks, products, shared.gates[i], shared.couplings[i], shared.operators[i]);
  }
  __syncthreads();  // M is complete
  invert(shared.blocks, shared.couplings, shared.operators, num_heads);
  __syncthreads();  // A is complete
  for (int i = 0; i < num_heads; ++i) {
    copy_operators(shared.operators[i],
                   params.operators[int64_t{chunk} * params.num_v_heads + first_head + i]);
  }
}

}  // namespace

template <typename T>
packproof_status launch_chunk_prep(const ChunkParams<T>& params, const ChunkGrids& grids,
                                   void* stream, packproof_message* message) {
  if (grids.num_chunks == 0) return PACKPROOF_OK;
  const int64_t num_pairs =
      (params.tokens.heads_per_group + kMaxOperatorHeads - 1) / kMaxOperatorHeads;
  return dispatch_keys(params.tokens.head_k_dim, [&]<int kKeys>() {
    return launch<&chunk_prep<T, kKeys>>(
        {.name = "chunk_prep",
         .grid = dim3(static_cast<unsigned>(grids.num_chunks * params.num_k_heads * num_pairs)),
         .block = dim3(kOperatorThreads),
         .shared_bytes = sizeof(PrepShared<T, kKeys>),
         .stream = stream},
        message, params);
  });
}

template packproof_status launch_chunk_prep(const ChunkParams<Half>&, const ChunkGrids&, void*,
                                            packproof_message*);
template packproof_status launch_chunk_prep(const ChunkParams<BFloat16>&, const ChunkGrids&, void*,
                                            packproof_message*);

}  // namespace packproof
