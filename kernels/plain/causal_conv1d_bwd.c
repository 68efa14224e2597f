/* Gradients of the causal convolution (spec 3.5), channel by channel:
 *   dc_t = dy_t act'(c_t), c recomputed from the inputs
 *   dx_s = sum_j weight[j] dc_{s+W-1-j}, over the taps that read row s
 *   dweight[j] = sum_t dc_t x_{t-W+1+j}, dbias = sum_t dc_t
 * A final state hands its gradient to the rows and state columns that it holds. Sums run over rows in
 * order: no result depends on anything but its own terms. */
#include "kernels/plain/argument_check.h"
#include "kernels/plain/causal_conv1d.h"
#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/scalar_functions.h"
#include "kernels/plain/sequences.h"
#include "kernels/plain/tensor_access.h"

typedef packproof_causal_conv1d_bwd_args Args;

static plain_check examine(const void* arguments) {
  const Args* a = arguments;
  plain_check check = plain_check_of("causal_conv1d backward", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 3) ||
      !plain_check_leading(&check, "weight", &a->weight, 2)) {
    return check;
  }
  const int32_t dtype = a->x.dtype;
  const int gradient = PLAIN_OUTPUT | PLAIN_OPTIONAL;
  const int64_t B = a->x.shape[0], T = a->x.shape[1], C = a->x.shape[2], W = a->weight.shape[1];
  const int64_t N = a->packing.num_seqs;
  if (W < 1) plain_refuse(&check, "expected weight with at least 1 tap, found %lld", (long long)W);
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, dtype, 3, {B, T, C}},
      {"weight", &a->weight, PLAIN_INPUT, dtype, 2, {C, W}},
      {"bias", &a->bias, PLAIN_OPTIONAL, dtype, 1, {C}},
      {"initial_state", &a->initial_state, PLAIN_OPTIONAL, dtype, 3, {N, C, W - 1}},
      {"d_output", &a->d_output, PLAIN_INPUT, dtype, 3, {B, T, C}},
      {"d_final_state", &a->d_final_state, PLAIN_OPTIONAL, dtype, 3, {N, C, W - 1}},
      {"d_x", &a->d_x, gradient, dtype, 3, {B, T, C}},
      {"d_weight", &a->d_weight, gradient, dtype, 2, {C, W}},
      {"d_bias", &a->d_bias, gradient, dtype, 1, {C}},
      {"d_initial_state", &a->d_initial_state, gradient, dtype, 3, {N, C, W - 1}},
  };
  plain_check_packing(&check, &a->packing, B, T);
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  plain_check_activation(&check, a->activation);
  if (check.status == PACKPROOF_OK && !plain_has_sequences(&a->packing) &&
      (plain_present(&a->initial_state) || plain_present(&a->d_final_state) ||
       plain_present(&a->d_initial_state))) {
    plain_refuse(&check, "expected seq_idx that defines sequences beside states, found other ids");
  }
  return check;
}

/* Boundaries, then the sums of one channel: of its rows, taps and states. */
static size_t causal_conv1d_bwd_workspace(const void* arguments) {
  const Args* a = arguments;
  const int64_t rows = a->x.shape[0] * a->x.shape[1], W = a->weight.shape[1];
  const int64_t N = a->packing.num_seqs;
  return (size_t)(N + 1) * sizeof(int64_t) + (size_t)(rows + W + N * (W - 1)) * sizeof(float);
}

/* Sums of one channel. */
typedef struct ChannelGradients {
  float *d_x, *d_weight, *d_state;
  float d_bias;
} ChannelGradients;

static void collect_taps(const plain_conv* conv, const packproof_tensor* d_output, int64_t c,
                         ChannelGradients* sums) {
  int64_t hint = 0;
  for (int64_t row = 0; row < conv->rows; ++row) {
    const int64_t sequence = plain_conv_sequence(conv, row, &hint);
    if (!plain_conv_defined(conv, row, sequence)) continue;
    float d_c = plain_load(d_output, plain_token(d_output, row) + c * d_output->stride[2]);
    if (conv->activation == PACKPROOF_SILU) {
      d_c *= plain_silu_slope(plain_conv_sum(conv, row, sequence, c));
    }
    sums->d_bias += d_c;
    for (int64_t j = 0; j < conv->width; ++j) {
      int64_t index = 0;
      const plain_tap_kind kind = plain_conv_tap(conv, row, sequence, j, &index);
      const float weight = plain_load(conv->weight, plain_at(conv->weight, c, j));
      sums->d_weight[j] += d_c * plain_conv_input(conv, row, sequence, c, j);
      if (kind == PLAIN_TAP_ROW) sums->d_x[index] += weight * d_c;
      if (kind == PLAIN_TAP_STATE) {
        sums->d_state[sequence * (conv->width - 1) + index] += weight * d_c;
      }
    }
  }
}

static void collect_final_states(const plain_conv* conv, const packproof_tensor* d_final_state,
                                 int64_t c, ChannelGradients* sums) {
  const int64_t columns = conv->width - 1;
  for (int64_t n = 0; n < conv->num_seqs; ++n) {
    const int64_t begin = conv->boundaries[n], end = conv->boundaries[n + 1];
    for (int64_t m = 0; m < columns; ++m) {
      const int64_t row = end - columns + m;
      const float gradient = plain_load(d_final_state, plain_at3(d_final_state, n, c, m));
      if (row >= begin) {
        sums->d_x[row] += gradient;
      } else {
        sums->d_state[n * columns + m + end - begin] += gradient;
      }
    }
  }
}

static void write_channel(const plain_conv* conv, const Args* a, int64_t c,
                          const ChannelGradients* sums) {
  const int64_t columns = conv->width - 1;
  int64_t hint = 0;
  for (int64_t row = 0; plain_present(&a->d_x) && row < conv->rows; ++row) {
    const int64_t sequence = plain_conv_sequence(conv, row, &hint);
    if (!plain_conv_defined(conv, row, sequence) && !conv->seq_idx) continue;
    plain_store(&a->d_x, plain_token(&a->d_x, row) + c * a->d_x.stride[2], sums->d_x[row]);
  }
  if (plain_present(&a->d_weight)) {
    plain_store_run(&a->d_weight, c * a->d_weight.stride[0], 1, conv->width, sums->d_weight);
  }
  if (plain_present(&a->d_bias)) plain_store(&a->d_bias, c * a->d_bias.stride[0], sums->d_bias);
  for (int64_t n = 0; plain_present(&a->d_initial_state) && n < conv->num_seqs; ++n) {
    plain_store_run(&a->d_initial_state, plain_at(&a->d_initial_state, n, c), 2, columns,
                    sums->d_state + n * columns);
  }
}

static void causal_conv1d_bwd(const void* arguments, void* workspace) {
  const Args* a = arguments;
  int64_t* boundaries = workspace;
  float* memory = (float*)(boundaries + a->packing.num_seqs + 1);
  const int with_sequences = plain_has_sequences(&a->packing);
  if (with_sequences) plain_fill_boundaries(&a->packing, a->x.shape[1], boundaries);
  const plain_conv conv = {&a->x,
                           &a->weight,
                           &a->bias,
                           &a->initial_state,
                           a->packing.seq_idx,
                           boundaries,
                           with_sequences ? a->packing.num_seqs : 0,
                           a->x.shape[0] * a->x.shape[1],
                           a->x.shape[2],
                           a->weight.shape[1],
                           a->activation};
  const int64_t floats = conv.rows + conv.width + conv.num_seqs * (conv.width - 1);
  for (int64_t c = 0; c < conv.channels; ++c) {
    for (int64_t i = 0; i < floats; ++i) memory[i] = 0.0f;
    ChannelGradients sums = {memory, memory + conv.rows, memory + conv.rows + conv.width, 0.0f};
    collect_taps(&conv, &a->d_output, c, &sums);
    if (plain_present(&a->d_final_state)) {
      collect_final_states(&conv, &a->d_final_state, c, &sums);
    }
    write_channel(&conv, a, c, &sums);
  }
}

const plain_row plain_causal_conv1d_bwd = {examine, causal_conv1d_bwd_workspace, causal_conv1d_bwd};
