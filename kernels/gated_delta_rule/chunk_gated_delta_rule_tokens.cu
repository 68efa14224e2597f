// tokens: sequences of one token in a call without states, up to 64 to a tile. Of spec 3.2 this
// leaves o = scale (q.k) beta v, for finite values with the bits that `window` would give:
//
//   P = round(q.k)    X = round(beta (v - exp(g) 0))    Delta = round(1 X)    o = round(scale (P Delta))
//
// Products of one term are exact in float, so only q.k needs the matrix product that sums it there.
//
// Mapping     grid runs * key heads, 4 warps. Warp w takes q.k of tokens 16 w .. 16 w + 15 from the
//             diagonal of their 16 x 16 product: a row meets the others' columns only beside it.
//             Values and outputs go through registers, 16 bytes a thread.
// Shared      TokensShared: 36,608 bytes for 128 keys.

#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/gated_delta_rule/chunk_kernels.h"
#include "kernels/gated_delta_rule/chunk_operators.cuh"

namespace packproof {
namespace {

struct TokenPlace {
  int64_t batch;
  int64_t row;
};

template <typename T, int kKeys>
struct TokensShared {
  RowTile<T, kKeys> q, k;
  TokenPlace place[kChunkRows];
  float attend[kChunkRows];     ///< P
  float beta[kChunkRows];       ///< Of one value head,
  float predicted[kChunkRows];  ///< and exp(g) 0: NaN where the gate is.
};

/// q.k of 16 rows, in the lanes that hold the diagonal.
template <typename T, int kKeys>
__device__ __forceinline__ void multiply_rows(TokensShared<T, kKeys>& shared, int first_row) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float products[2][4] = {};
#pragma unroll
  for (int column = 0; column < kKeys; column += 16) {
    uint32_t q[4], k[4];
    load_left(shared.q, first_row, column, lane, q);
    load_right_transposed(shared.k, first_row, column, lane, k);
    multiply_add<T>(products, q, k);
  }
  const int row = lane / 4;
  if (lane % 4 != row / 2) return;
  const bool odd = row % 2 != 0;
  const float upper = odd ? products[0][1] : products[0][0];
  const float lower = odd ? products[1][3] : products[1][2];
  shared.attend[first_row + row] = to_float(from_float<T>(upper));
  shared.attend[first_row + row + 8] = to_float(from_float<T>(lower));
}

template <typename T>
__device__ __forceinline__ T output_of(T value, float attend, float beta, float predicted,
                                       float scale) {
  const T correction = from_float<T>(beta * (to_float(value) - predicted));
  const T delta = from_float<T>(fmaf(1.0f, to_float(correction), 0.0f));
  return from_float<T>(scale * fmaf(attend, to_float(delta), 0.0f));
}

template <typename T, int kKeys>
__global__ void __launch_bounds__(kOperatorThreads) chunk_tokens(ChunkParams<T> params) {
  const int place = static_cast<int>(blockIdx.x / static_cast<unsigned>(params.num_k_heads));
  const int key_head = static_cast<int>(blockIdx.x % static_cast<unsigned>(params.num_k_heads));
  if (place >= params.schedule.counts->num_token_runs) return;
  auto& shared = block_shared<TokensShared<T, kKeys>>();
  const DeltaRuleTokens<T>& tokens = params.tokens;
  const TokenRun run = params.schedule.token_runs[place];
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < run.count) {
    const SequenceRows rows = rows_of(params.sequences, run.first + thread);
    shared.place[thread] = {rows.batch, rows.first};
  }
  __syncthreads();  // places stand
  const int staged_rows = kBlockRows * blocks_of(run.count);
  const auto stage_keys = [&](RowTile<T, kKeys>& tile, const StridedView<const T, 4>& view) {
    stage_rows<kOperatorThreads>(tile, thread, staged_rows, tokens.head_k_dim, view.stride[3],
                                 params.keys_aligned, view.data, [&](int r) -> const T* {
                                   if (r >= run.count) return nullptr;
                                   return view.at(shared.place[r].batch, shared.place[r].row,
                                                  key_head, 0);
                                 });
  };
  stage_keys(shared.q, tokens.q);
  stage_keys(shared.k, tokens.k);
  ptx::copy_async_commit();
  ptx::copy_async_wait<0>();
  __syncthreads();  // q and k stand
  if (tokens.qk_l2norm) {
    l2_normalise_rows(shared.q, shared.k);
    __syncthreads();  // they are normalised
  }
  const int own_rows = thread / 32 * kBlockRows;
  if (own_rows < staged_rows) multiply_rows(shared, own_rows);

  const int pieces = (tokens.head_v_dim + kPieceElements - 1) / kPieceElements;
  const bool aligned = params.values_aligned && params.output_aligned;
  for (int i = 0; i < tokens.heads_per_group; ++i) {
    const int head = key_head * tokens.heads_per_group + i;
    if (thread < run.count) {
      const TokenPlace& at = shared.place[thread];
      const float g = bounded_log_decay(log_decay_of(tokens, at.batch, at.row, head));
      shared.beta[thread] = tokens.beta.load(at.batch, at.row, head);
      shared.predicted[thread] = exp_f32(g) * 0.0f;
    }
    __syncthreads();  // P, beta and gates stand
    for (int j = thread; j < run.count * pieces; j += kOperatorThreads) {
      const int r = j / pieces;
      const int column = j % pieces * kPieceElements;
      const T* from = tokens.v.at(shared.place[r].batch, shared.place[r].row, head, column);
      T* to = params.output.at(shared.place[r].batch, shared.place[r].row, head, column);
      const auto output_at = [&](T value) {
        return output_of(value, shared.attend[r], shared.beta[r], shared.predicted[r],
                         tokens.scale);
      };
      if (aligned) {
        alignas(kPieceBytes) T values[kPieceElements];
        store_piece(load_piece(from), values);
#pragma unroll
        for (int e = 0; e < kPieceElements; ++e) values[e] = output_at(values[e]);
        store_piece(load_piece(values), to);
      } else {
        for (int e = 0; e < kPieceElements && column + e < tokens.head_v_dim; ++e) {
          to[e * params.output.stride[3]] = output_at(from[e * tokens.v.stride[3]]);
        }
      }
    }
    __syncthreads();  // beta and gates are no longer read
  }
}

}  // namespace

template <typename T>
packproof_status launch_chunk_tokens(const ChunkParams<T>& params, const ChunkGrids& grids,
                                     void* stream, packproof_message* message) {
  if (grids.num_token_runs == 0) return PACKPROOF_OK;
  return dispatch_keys(params.tokens.head_k_dim, [&]<int kKeys>() {
    return launch<&chunk_tokens<T, kKeys>>(
        {.name = "chunk_tokens",
         .grid = dim3(static_cast<unsigned>(grids.num_token_runs * params.num_k_heads)),
         .block = dim3(kOperatorThreads),
         .shared_bytes = sizeof(TokensShared<T, kKeys>),
         .stream = stream},
        message, params);
  });
}

template packproof_status launch_chunk_tokens(const ChunkParams<Half>&, const ChunkGrids&, void*,
                                              packproof_message*);
template packproof_status launch_chunk_tokens(const ChunkParams<BFloat16>&, const ChunkGrids&,
                                              void*, packproof_message*);

}  // namespace packproof
