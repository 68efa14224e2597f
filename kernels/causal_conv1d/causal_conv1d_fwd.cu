// causal_conv1d, forward (spec 2.5 step 3, 6.3): depthwise, per channel c and row t of a sequence
//
//   y[t, c] = act(bias[c] + sum_{j=0}^{W-1} weight[c, j] x[t - W + 1 + j, c])
//
// Taps before the sequence read initial_state, zeros without one. final_state holds the last W - 1
// rows of each sequence, oldest first, completed from initial_state where the sequence is shorter.
//
// Tensors     x, output [B, T, C]; weight [C, W]; bias [C]; states [N, C, W-1]; one of f32, f16,
//             bf16; any strides; accumulation in f32. seq_idx [B, T] i32, cu_seqlens [N+1].
// Boundaries  a tap counts iff its row has the id of the output row. The id is seq_idx where given,
//             else the number of the sequence in cu_seqlens, else (dense) the batch entry. States
//             always follow cu_seqlens or the batch.
// Mapping     grid (B * row tiles, channel tiles), one thread a channel, 32 rows a tile; the thread
//             slides a window of W inputs through registers. final_state is a second launch, grid
//             (N, channel tiles).
// Shared      RowTile: ids and places of the tile's rows, at most 412 bytes.
// Empty       a sequence without rows copies its initial state (or zeros) to its final state.
// Slack       rows past cu_seqlens[N] are neither read nor written when cu_seqlens comes alone. With
//             seq_idx, rows of an id below 0 are written as zeros and never read.
// Bits        fixed order of every sum, no atomics: a row depends on its taps only, wherever the
//             sequence stands; zero rows before a sequence give the bits of no rows.

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/causal_conv1d/causal_conv1d_launch.cuh"
#include "kernels/causal_conv1d/conv_window.cuh"
#include "kernels/common/block_shared.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/load_store.cuh"
#include "kernels/common/sequence.cuh"

namespace packproof {
namespace {

constexpr int kRowsPerTile = 32;

template <typename T>
struct ConvParams {
  StridedView<const T, 3> x;
  StridedView<const T, 2> weight;
  StridedView<const T, 1> bias;
  StridedView<const T, 3> initial_state;
  StridedView<T, 3> output;
  StridedView<T, 3> final_state;
  SequenceView sequences;
  const int32_t* seq_idx;
  int64_t num_row_tiles;
  int64_t num_channels;
  bool silu;
};

/// The tile's rows, and before them the kWidth - 1 rows that only serve as taps.
template <int kWidth>
struct RowTile {
  int32_t id[kWidth - 1 + kRowsPerTile];  ///< Below 0: not a row of any sequence.
  int32_t state_row[kRowsPerTile];        ///< Sequence whose initial state may serve taps, else -1.
  int32_t age[kRowsPerTile];  ///< Rows of that sequence before this one, at most kWidth - 1.
};

template <typename T>
__device__ int32_t row_id(const ConvParams<T>& params, int64_t batch, int64_t row) {
  if (row < 0 || row >= params.sequences.row_length) return -1;
  if (params.seq_idx != nullptr) return params.seq_idx[batch * params.sequences.row_length + row];
  return static_cast<int32_t>(sequence_at(params.sequences, batch, row));
}

template <typename T, int kWidth>
__device__ void describe_rows(const ConvParams<T>& params, int64_t batch, int64_t first,
                              RowTile<kWidth>& tile) {
  const int num_threads = static_cast<int>(blockDim.x);
  for (int i = static_cast<int>(threadIdx.x); i < kWidth - 1 + kRowsPerTile; i += num_threads) {
    tile.id[i] = row_id(params, batch, first - (kWidth - 1) + i);
  }
  for (int i = static_cast<int>(threadIdx.x); i < kRowsPerTile; i += num_threads) {
    tile.state_row[i] = -1;
    tile.age[i] = kWidth - 1;
    if (params.initial_state.data == nullptr || first + i >= params.sequences.row_length) continue;
    const int64_t sequence = sequence_at(params.sequences, batch, first + i);
    if (sequence < 0) continue;
    const int64_t age = first + i - rows_of(params.sequences, sequence).first;
    if (age >= kWidth - 1) continue;
    tile.state_row[i] = static_cast<int32_t>(sequence);
    tile.age[i] = static_cast<int32_t>(age);
  }
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(128) causal_conv1d_fwd(ConvParams<T> params) {
  RowTile<kWidth>& tile = block_shared<RowTile<kWidth>>();
  const int64_t batch = blockIdx.x / params.num_row_tiles;
  const int64_t first = blockIdx.x % params.num_row_tiles * kRowsPerTile;
  describe_rows(params, batch, first, tile);
  __syncthreads();  // every id of the tile stands before a channel compares it

  const int64_t channel = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  if (channel >= params.num_channels) return;
  float weight[kWidth];
#pragma unroll
  for (int j = 0; j < kWidth; ++j) weight[j] = params.weight.load(channel, j);
  const float bias = params.bias.data != nullptr ? params.bias.load(channel) : 0.0f;

  // window[j] is row t - (kWidth - 1) + j, raw: which of them count is decided per output row.
  const auto input_row = [&](int i) {
    const int64_t row = first - (kWidth - 1) + i;
    return tile.id[i] >= 0 ? params.x.load(batch, row, channel) : 0.0f;
  };
  float window[kWidth];
#pragma unroll
  for (int j = 1; j < kWidth; ++j) window[j] = input_row(j - 1);

  const int64_t left = params.sequences.row_length - first;
  const int count = left < kRowsPerTile ? static_cast<int>(left) : kRowsPerTile;
  for (int i = 0; i < count; ++i) {
#pragma unroll
    for (int j = 1; j < kWidth; ++j) window[j - 1] = window[j];
    window[kWidth - 1] = input_row(kWidth - 1 + i);

    const int32_t id = tile.id[kWidth - 1 + i];
    if (id < 0) {
      if (params.seq_idx != nullptr) params.output.store(0.0f, batch, first + i, channel);
      continue;
    }
    float taps[kWidth];
#pragma unroll
    for (int j = 0; j < kWidth; ++j) {
      const bool same_sequence = tile.id[i + j] == id;
      // Column of the state that stands for row t - (kWidth - 1) + j, which is before the sequence.
      const int column = tile.age[i] + j;
      if (same_sequence) {
        taps[j] = window[j];
      } else if (tile.state_row[i] >= 0 && column < kWidth - 1) {
        taps[j] = params.initial_state.load(tile.state_row[i], channel, column);
      } else {
        taps[j] = 0.0f;
      }
    }
    params.output.store(convolve(weight, taps, bias, params.silu), batch, first + i, channel);
  }
}

template <typename T, int kWidth>
__global__ void __launch_bounds__(128) causal_conv1d_final_state(ConvParams<T> params) {
  const int64_t sequence = blockIdx.x;
  const int64_t channel = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  if (channel >= params.num_channels) return;
  const SequenceRows rows = rows_of(params.sequences, sequence);
#pragma unroll
  for (int column = 0; column < kWidth - 1; ++column) {
    const int64_t row = rows.length - (kWidth - 1) + column;  // within the sequence
    T value = from_float<T>(0.0f);  // copied as it stands: a state keeps the bits of its inputs
    if (row >= 0) {
      value = *params.x.at(rows.batch, rows.first + row, channel);
    } else if (params.initial_state.data != nullptr) {
      value = *params.initial_state.at(sequence, channel, row + kWidth - 1);
    }
    *params.final_state.at(sequence, channel, column) = value;
  }
}

template <typename T, int kWidth>
packproof_status launch_width(const packproof_causal_conv1d_fwd_args& args, void* stream,
                              packproof_message* message) {
  const int64_t num_batches = args.x.shape[0];
  const int64_t row_length = args.x.shape[1];
  const int64_t num_channels = args.x.shape[2];
  const ConvParams<T> params{
      .x = view_of<const T, 3>(args.x),
      .weight = view_of<const T, 2>(args.weight),
      .bias = view_of<const T, 1>(args.bias),
      .initial_state = view_of<const T, 3>(args.initial_state),
      .output = view_of<T, 3>(args.output),
      .final_state = view_of<T, 3>(args.final_state),
      .sequences = sequence_view(args.packing, row_length),
      .seq_idx = args.packing.seq_idx,
      .num_row_tiles = (row_length + kRowsPerTile - 1) / kRowsPerTile,
      .num_channels = num_channels,
      .silu = args.activation == PACKPROOF_SILU,
  };
  const int threads = conv_threads(num_channels);
  const auto channel_tiles = static_cast<unsigned>((num_channels + threads - 1) / threads);
  const int64_t row_blocks = num_batches * params.num_row_tiles;
  if (row_blocks > 0 && channel_tiles > 0) {
    const packproof_status status = launch<&causal_conv1d_fwd<T, kWidth>>(
        {.name = "causal_conv1d_fwd",
         .grid = dim3(static_cast<unsigned>(row_blocks), channel_tiles),
         .block = dim3(static_cast<unsigned>(threads)),
         .shared_bytes = sizeof(RowTile<kWidth>),
         .stream = stream},
        message, params);
    if (status != PACKPROOF_OK) return status;
  }
  if (args.final_state.data == nullptr || args.packing.num_seqs == 0 || channel_tiles == 0) {
    return PACKPROOF_OK;
  }
  return launch<&causal_conv1d_final_state<T, kWidth>>(
      {.name = "causal_conv1d_final_state",
       .grid = dim3(static_cast<unsigned>(args.packing.num_seqs), channel_tiles),
       .block = dim3(static_cast<unsigned>(threads)),
       .stream = stream},
      message, params);
}

}  // namespace

packproof_status launch_causal_conv1d_fwd(const void* untyped_args, void*, size_t, void* stream,
                                          packproof_message* message) {
  const auto& args = *static_cast<const packproof_causal_conv1d_fwd_args*>(untyped_args);
  const packproof_status status = check_causal_conv1d_fwd(args).report(message);
  if (status != PACKPROOF_OK) return status;
  return dispatch_conv(args.x.dtype, args.weight.shape[1], [&]<typename T, int kWidth>() {
    return launch_width<T, kWidth>(args, stream, message);
  });
}

}  // namespace packproof
