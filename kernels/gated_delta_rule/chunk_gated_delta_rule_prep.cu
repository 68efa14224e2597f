// prep: A and P of every chunk (chunk_operators.cuh) for sequences of several chunks, which need no
// state and so run side by side; `scan` then walks each sequence with them.
//
// Mapping     grid chunks * key heads * pairs of their value heads, 4 warps. Warp w owns the products
//             K K^T and Q K^T of rows 16 w .. 16 w + 15, or of a warp after it: later rows have more
//             products, and the warps w of all blocks of a processor share its scheduler w;
//             chunk_inverse.cuh says who makes A.
// Writes      ChunkOperators of each value head (11,008 bytes), kept for a backward pass; with
//             qk_l2norm, or where q and k are not aligned, copies of q and k for `scan`; for the
//             scan of sm_90 always, as its tiles hold them.
// Shared      PrepShared: 47,360 bytes for 128 keys; M, A and P take the place of q and k.
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

    struct {
      TileCoupling couplings[kMaxOperatorHeads];
      ChunkOperators<T> operators[kMaxOperatorHeads];
    } results;  // once the products of q and k are taken
  };

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
__global__ void __launch_bounds__(kOperatorThreads, kKeys <= 128 ? 4 : 2)
    chunk_prep(ChunkParams<T> params) {
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const int num_pairs = (tokens.heads_per_group + kMaxOperatorHeads - 1) / kMaxOperatorHeads;
  const int blocks_of_chunk = params.num_k_heads * num_pairs;
  const int chunk = static_cast<int>(blockIdx.x) / blocks_of_chunk;
  const ChunkOfSequence place = params.schedule.chunks[chunk];  // Read beside the count.
  const int key_head = static_cast<int>(blockIdx.x) % blocks_of_chunk / num_pairs;
  const int pair = static_cast<int>(blockIdx.x) % num_pairs;
  if (chunk >= params.schedule.counts->num_chunks) return;
  auto& shared = block_shared<PrepShared<T, kKeys>>();
  auto& [q, k] = shared.tiles;
  const int thread = static_cast<int>(threadIdx.x);
  const int heads_before = kMaxOperatorHeads * pair;
  const int first_head = key_head * tokens.heads_per_group + heads_before;
  const int num_heads = min(tokens.heads_per_group - heads_before, kMaxOperatorHeads);

  const SequenceRows rows = rows_of(params.sequences, place.sequence);
  const int64_t done = int64_t{kChunkRows} * place.index;
  const auto block_of_rows = [&](int block) { return block_of(rows, done, block, 0); };
  const int own_head = thread / kChunkRows;
  const int own_row = thread % kChunkRows;
  RowGate gate{};
  if (own_head < num_heads) {
    gate = load_gate(tokens, block_of_rows(own_row / kBlockRows), own_row % kBlockRows,
                     first_head + own_head);
  }
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
  if (thread < kChunkBlocks) {
    // Rows behind the last token are rows of zeros: A and P are whole for whoever takes them whole.
    shared.blocks[thread] = block_of_rows(thread);
    shared.blocks[thread].end_block = kChunkBlocks;
  }
  if (own_head < num_heads) sum_gates(gate, own_row, shared.gates[own_head]);
  ptx::copy_async_wait<0>();
  __syncthreads();  // q, k, gates and blocks stand
  RowDecays decays{};
  if (own_head < num_heads) {
    decays = decays_of_row(shared.blocks, own_row, shared.gates[own_head]);
  }
  const bool copies_keys = params.key_copies.data != nullptr && pair == 0;
  const int64_t chunk_head = int64_t{chunk} * params.num_k_heads + key_head;
  // In pieces, the threads of neighbouring rows write side by side.
  const bool copies_normalised = copies_keys && tokens.qk_l2norm && params.key_copies.in_pieces;
  if (copies_normalised) {
    T* q_copy = params.key_copies.q(chunk_head);
    T* k_copy = params.key_copies.k(chunk_head);
    l2_normalise_rows(q, k, [&](bool is_q, int row, int column, const uint4& piece) {
      const int place = kChunkRows * column + kPieceElements * PieceTile<T, kKeys>::place(row);
      store_piece(piece, (is_q ? q_copy : k_copy) + place);
    });
  } else if (tokens.qk_l2norm) {
    l2_normalise_rows(q, k);
  }
  __syncthreads();  // decays stand, and q and k are normalised
  if (copies_keys && !copies_normalised) {
    copy_keys(q, params.key_copies.in_pieces, params.key_copies.q(chunk_head));
    copy_keys(k, params.key_copies.in_pieces, params.key_copies.k(chunk_head));
  }
  const int own_block = (thread / 32 + static_cast<int>(blockIdx.x / kChunkBlocks)) % kChunkBlocks;
  KeyProducts products;
  multiply_keys(q, k, shared.blocks, own_block, products);
  __syncthreads();  // q and k are no longer read
  auto& [couplings, operators] = shared.results;
  if (own_head < num_heads) {
    operators[own_head].from_start[own_row] = decays.from_start;
    operators[own_head].to_end[own_row] = decays.to_end;
    operators[own_head].beta[own_row] = shared.gates[own_head].beta[own_row];
  }
  for (int i = 0; i < num_heads; ++i) {
    apply_gates(shared.blocks, own_block, products, shared.gates[i], couplings[i], operators[i]);
  }
  __syncthreads();  // M is complete
  invert(shared.blocks, couplings, operators, num_heads);
  __syncthreads();  // A is complete
  for (int i = 0; i < num_heads; ++i) {
    copy_operators(operators[i],
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
