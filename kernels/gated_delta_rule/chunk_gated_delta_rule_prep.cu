// prep: A and P of every chunk (chunk_operators.cuh) for sequences of several chunks, which need no
// state and so run side by side; `scan` then walks each sequence with them.
//
// Mapping     grid chunks * key heads, 4 warps. K K^T and Q K^T are computed once for the value heads
//             of a key head; warp w owns rows 16 w .. 16 w + 15, and thread c < 64 column c of A.
// Writes      ChunkOperators for each value head (11,008 bytes), kept for a backward pass; with
//             qk_l2norm, or where q and k are not aligned, copies of q and k for `scan`.
// Shared      PrepShared: 64,384 bytes for 128 keys.
// Bits        A chunk's results depend on its rows alone; all sums have a fixed order.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/gated_delta_rule/chunk_kernels.h"
#include "kernels/gated_delta_rule/chunk_operators.cuh"

namespace packproof {
namespace {

template <typename T, int kKeys>
struct PrepShared {
  RowTile<T, kKeys> q, k;
  ChunkOperators<T> operators;
  OperatorScratch scratch;
  TileBlock blocks[kChunkBlocks];
};

template <typename T, int kKeys>
__device__ __forceinline__ void copy_keys(const RowTile<T, kKeys>& tile, T* target) {
  constexpr int kPieces = kKeys / kPieceElements;
  for (int i = static_cast<int>(threadIdx.x); i < kChunkRows * kPieces; i += kOperatorThreads) {
    store_piece(load_piece(&tile.row[i / kPieces][i % kPieces * kPieceElements]),
                target + kPieceElements * i);
  }
}

template <typename T, int kKeys>
__global__ void __launch_bounds__(kOperatorThreads) chunk_prep(ChunkParams<T> params) {
  const int chunk = static_cast<int>(blockIdx.x / static_cast<unsigned>(params.num_k_heads));
  const int key_head = static_cast<int>(blockIdx.x % static_cast<unsigned>(params.num_k_heads));
  if (chunk >= params.schedule.counts->num_chunks) return;
  auto& shared = block_shared<PrepShared<T, kKeys>>();
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const int thread = static_cast<int>(threadIdx.x);

  const ChunkOfSequence place = params.schedule.chunks[chunk];
  const SequenceRows rows = rows_of(params.sequences, place.sequence);
  if (thread < kChunkBlocks) {
    shared.blocks[thread] = block_of(rows, int64_t{kChunkRows} * place.index, thread, 0);
  }
  __syncthreads();  // blocks stand
  const int num_keys = tokens.head_k_dim;
  stage_blocks(shared.q, shared.blocks,
               HeadColumns<T>{tokens.q, key_head, 0, num_keys, params.keys_aligned});
  stage_blocks(shared.k, shared.blocks,
               HeadColumns<T>{tokens.k, key_head, 0, num_keys, params.keys_aligned});
  ptx::copy_async_commit();
  ptx::copy_async_wait<0>();
  __syncthreads();  // q and k stand
  if (tokens.qk_l2norm) {
    l2_normalise_rows(shared.q, shared.k);
    __syncthreads();  // they are normalised
  }
  if (params.key_copies.data != nullptr) {
    const int64_t chunk_head = int64_t{chunk} * params.num_k_heads + key_head;
    copy_keys(shared.q, params.key_copies.q(chunk_head));
    copy_keys(shared.k, params.key_copies.k(chunk_head));
  }

  KeyProducts products;
  multiply_keys(shared.q, shared.k, shared.blocks, products);
  for (int i = 0; i < tokens.heads_per_group; ++i) {
    const int head = key_head * tokens.heads_per_group + i;
    prepare_operators(tokens, shared.blocks, products, head, shared.scratch, shared.operators);
    const auto* from = reinterpret_cast<const unsigned char*>(&shared.operators);
    auto* to = reinterpret_cast<unsigned char*>(
        &params.operators[int64_t{chunk} * params.num_v_heads + head]);
    for (int offset = kPieceBytes * thread; offset < static_cast<int>(sizeof(ChunkOperators<T>));
         offset += kPieceBytes * kOperatorThreads) {
      store_piece(load_piece(from + offset), to + offset);
    }
    __syncthreads();  // the operators are copied before the next head's replace them
  }
}

}  // namespace

template <typename T>
packproof_status launch_chunk_prep(const ChunkParams<T>& params, const ChunkGrids& grids,
                                   void* stream, packproof_message* message) {
  if (grids.num_chunks == 0) return PACKPROOF_OK;
  return dispatch_keys(params.tokens.head_k_dim, [&]<int kKeys>() {
    return launch<&chunk_prep<T, kKeys>>(
        {.name = "chunk_prep",
         .grid = dim3(static_cast<unsigned>(grids.num_chunks * params.num_k_heads)),
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
