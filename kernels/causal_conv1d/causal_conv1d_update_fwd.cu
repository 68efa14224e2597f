// causal_conv1d_update, forward: one token per sequence (decode) against a pool of conv states
// that is shifted in place. The sum is the one of causal_conv1d_fwd.cu, bit for bit.
//
// Tensors     x, output [N, C]; weight [C, W]; bias [C]; conv_state [S, C, W-1], oldest first;
//             state_indices [N] i32 or absent (slot n); one of f32, f16, bf16; any strides.
// Mapping     grid (N, channel tiles), one thread a channel. No shared memory.
// Skipped     state_indices[n] = -1 writes a zero output row and touches no slot.
// Bits        no atomics. Slots named twice in one call are a race, which the check of the host copy
//             refuses.

#include "kernels/causal_conv1d/causal_conv1d.h"
#include "kernels/causal_conv1d/causal_conv1d_launch.cuh"
#include "kernels/causal_conv1d/conv_window.cuh"
#include "kernels/common/launch.cuh"
#include "kernels/common/load_store.cuh"
#include "kernels/common/sequence.cuh"

namespace packproof {
namespace {

template <typename T>
struct ConvUpdateParams {
  StridedView<const T, 2> x;
  StridedView<const T, 2> weight;
  StridedView<const T, 1> bias;
  StridedView<T, 3> conv_state;
  StridedView<const int32_t, 1> state_indices;
  StridedView<T, 2> output;
  int64_t num_channels;
  bool silu;
};

template <typename T, int kWidth>
__global__ void __launch_bounds__(128) causal_conv1d_update_fwd(ConvUpdateParams<T> params) {
  const int64_t row = blockIdx.x;
  const int64_t channel = static_cast<int64_t>(blockIdx.y) * blockDim.x + threadIdx.x;
  if (channel >= params.num_channels) return;
  const int64_t slot = slot_of(params.state_indices, row);
  if (slot < 0) {
    params.output.store(0.0f, row, channel);
    return;
  }
  T window[kWidth];
#pragma unroll
  for (int j = 0; j < kWidth - 1; ++j) window[j] = *params.conv_state.at(slot, channel, j);
  window[kWidth - 1] = *params.x.at(row, channel);
  float weight[kWidth];
  float taps[kWidth];
#pragma unroll
  for (int j = 0; j < kWidth; ++j) {
    weight[j] = params.weight.load(channel, j);
    taps[j] = to_float(window[j]);
  }
  const float bias = params.bias.data != nullptr ? params.bias.load(channel) : 0.0f;
  params.output.store(convolve(weight, taps, bias, params.silu), row, channel);
#pragma unroll
  for (int j = 0; j < kWidth - 1; ++j) *params.conv_state.at(slot, channel, j) = window[j + 1];
}

}  // namespace

packproof_status launch_causal_conv1d_update_fwd(const void* untyped_args, void*, size_t,
                                                 void* stream, packproof_message* message) {
  const auto& args = *static_cast<const packproof_causal_conv1d_update_args*>(untyped_args);
  const packproof_status status = check_causal_conv1d_update_fwd(args).report(message);
  if (status != PACKPROOF_OK) return status;
  const int64_t num_rows = args.x.shape[0];
  const int64_t num_channels = args.x.shape[1];
  if (num_rows == 0 || num_channels == 0) return PACKPROOF_OK;
  const int threads = conv_threads(num_channels);
  return dispatch_conv(args.x.dtype, args.weight.shape[1], [&]<typename T, int kWidth>() {
    const ConvUpdateParams<T> params{
        .x = view_of<const T, 2>(args.x),
        .weight = view_of<const T, 2>(args.weight),
        .bias = view_of<const T, 1>(args.bias),
        .conv_state = view_of<T, 3>(args.conv_state),
        .state_indices = view_of<const int32_t, 1>(args.state_indices),
        .output = view_of<T, 2>(args.output),
        .num_channels = num_channels,
        .silu = args.activation == PACKPROOF_SILU,
    };
    const auto channel_tiles = static_cast<unsigned>((num_channels + threads - 1) / threads);
    return launch<&causal_conv1d_update_fwd<T, kWidth>>(
        {.name = "causal_conv1d_update_fwd",
         .grid = dim3(static_cast<unsigned>(num_rows), channel_tiles),
         .block = dim3(static_cast<unsigned>(threads)),
         .stream = stream},
        message, params);
  });
}

}  // namespace packproof
