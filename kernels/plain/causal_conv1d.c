/* Causal depthwise convolution, forward and single-token update (spec 2.5 step 3, 4.4):
 *   y[t,c] = act(bias[c] + sum_j weight[c,j] x[t-W+1+j,c])
 * With seq_idx a tap counts iff its row has the id of the output's row; else iff it lies in the same
 * sequence. Taps before the sequence read its initial state. Any W of at least 1. */
#include "kernels/plain/causal_conv1d.h"

#include "kernels/plain/argument_check.h"
#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/scalar_functions.h"
#include "kernels/plain/sequences.h"
#include "kernels/plain/tensor_access.h"

int64_t plain_conv_sequence(const plain_conv* conv, int64_t row, int64_t* hint) {
  while (*hint < conv->num_seqs && row >= conv->boundaries[*hint + 1]) ++*hint;
  return *hint < conv->num_seqs ? *hint : -1;
}

int plain_conv_defined(const plain_conv* conv, int64_t row, int64_t sequence) {
  return conv->seq_idx ? conv->seq_idx[row] >= 0 : sequence >= 0;
}

plain_tap_kind plain_conv_tap(const plain_conv* conv, int64_t row, int64_t sequence, int64_t j,
                              int64_t* index) {
  const int64_t source = row - conv->width + 1 + j;
  const int64_t begin = sequence >= 0 ? conv->boundaries[sequence] : 0;
  if (conv->seq_idx ? source >= 0 && conv->seq_idx[source] == conv->seq_idx[row]
                    : source >= begin) {
    *index = source;
    return PLAIN_TAP_ROW;
  }
  if (sequence < 0 || source >= begin) return PLAIN_TAP_NONE;
  *index = conv->width - 1 - (begin - source);
  return PLAIN_TAP_STATE;
}

float plain_conv_input(const plain_conv* conv, int64_t row, int64_t sequence, int64_t channel,
                       int64_t j) {
  int64_t index = 0;
  switch (plain_conv_tap(conv, row, sequence, j, &index)) {
    case PLAIN_TAP_ROW:
      return plain_load(conv->x, plain_token(conv->x, index) + channel * conv->x->stride[2]);
    case PLAIN_TAP_STATE:
      if (!plain_present(conv->initial_state)) return 0.0f;
      return plain_load(conv->initial_state,
                        plain_at3(conv->initial_state, sequence, channel, index));
    default:
      return 0.0f;
  }
}

float plain_conv_sum(const plain_conv* conv, int64_t row, int64_t sequence, int64_t channel) {
  float sum = 0.0f;
  if (plain_present(conv->bias)) {
    sum = plain_load(conv->bias, channel * conv->bias->stride[0]);
  }
  for (int64_t j = 0; j < conv->width; ++j) {
    sum += plain_load(conv->weight, plain_at(conv->weight, channel, j)) *
           plain_conv_input(conv, row, sequence, channel, j);
  }
  return sum;
}

static plain_check examine(const void* arguments) {
  const packproof_causal_conv1d_fwd_args* a = arguments;
  plain_check check = plain_check_of("causal_conv1d", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 3) ||
      !plain_check_leading(&check, "weight", &a->weight, 2)) {
    return check;
  }
  const int32_t dtype = a->x.dtype;
  const int64_t B = a->x.shape[0], T = a->x.shape[1], C = a->x.shape[2], W = a->weight.shape[1];
  const int64_t N = a->packing.num_seqs;
  if (W < 1) plain_refuse(&check, "expected weight with at least 1 tap, found %lld", (long long)W);
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, dtype, 3, {B, T, C}},
      {"weight", &a->weight, PLAIN_INPUT, dtype, 2, {C, W}},
      {"bias", &a->bias, PLAIN_OPTIONAL, dtype, 1, {C}},
      {"initial_state", &a->initial_state, PLAIN_OPTIONAL, dtype, 3, {N, C, W - 1}},
      {"output", &a->output, PLAIN_OUTPUT, dtype, 3, {B, T, C}},
      {"final_state", &a->final_state, PLAIN_OUTPUT | PLAIN_OPTIONAL, dtype, 3, {N, C, W - 1}},
  };
  plain_check_packing(&check, &a->packing, B, T);
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  plain_check_activation(&check, a->activation);
  if (check.status == PACKPROOF_OK && !plain_has_sequences(&a->packing) &&
      (plain_present(&a->initial_state) || plain_present(&a->final_state))) {
    plain_refuse(&check, "expected seq_idx that defines sequences beside states, found other ids");
  }
  return check;
}

static size_t causal_conv1d_fwd_workspace(const void* arguments) {
  const packproof_causal_conv1d_fwd_args* a = arguments;
  return (size_t)(a->packing.num_seqs + 1) * sizeof(int64_t);
}

/* Column m of the final state is row end - (W - 1) + m, or what the initial state holds of it. */
static void write_final_states(const plain_conv* conv, const packproof_tensor* final_state) {
  const int64_t columns = conv->width - 1;
  for (int64_t n = 0; n < conv->num_seqs; ++n) {
    const int64_t begin = conv->boundaries[n], end = conv->boundaries[n + 1];
    for (int64_t c = 0; c < conv->channels; ++c) {
      for (int64_t m = 0; m < columns; ++m) {
        const int64_t row = end - columns + m;
        float value = 0.0f;
        if (row >= begin) {
          value = plain_load(conv->x, plain_token(conv->x, row) + c * conv->x->stride[2]);
        } else if (plain_present(conv->initial_state)) {
          value = plain_load(conv->initial_state,
                             plain_at3(conv->initial_state, n, c, m + end - begin));
        }
        plain_store(final_state, plain_at3(final_state, n, c, m), value);
      }
    }
  }
}

static void causal_conv1d_fwd(const void* arguments, void* workspace) {
  const packproof_causal_conv1d_fwd_args* a = arguments;
  int64_t* boundaries = workspace;
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
  int64_t hint = 0;
  for (int64_t row = 0; row < conv.rows; ++row) {
    const int64_t sequence = plain_conv_sequence(&conv, row, &hint);
    const int defined = plain_conv_defined(&conv, row, sequence);
    if (!defined && !conv.seq_idx) continue;
    for (int64_t c = 0; c < conv.channels; ++c) {
      float value = defined ? plain_conv_sum(&conv, row, sequence, c) : 0.0f;
      if (a->activation == PACKPROOF_SILU) value = plain_silu(value);
      plain_store(&a->output, plain_token(&a->output, row) + c * a->output.stride[2], value);
    }
  }
  if (plain_present(&a->final_state)) write_final_states(&conv, &a->final_state);
}

static plain_check examine_update(const void* arguments) {
  const packproof_causal_conv1d_update_args* a = arguments;
  plain_check check = plain_check_of("causal_conv1d_update", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 2) ||
      !plain_check_leading(&check, "weight", &a->weight, 2) ||
      !plain_check_leading(&check, "conv_state", &a->conv_state, 3)) {
    return check;
  }
  const int32_t dtype = a->x.dtype;
  const int64_t N = a->x.shape[0], C = a->x.shape[1], W = a->weight.shape[1];
  const int64_t S = a->conv_state.shape[0];
  if (W < 1) plain_refuse(&check, "expected weight with at least 1 tap, found %lld", (long long)W);
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, dtype, 2, {N, C}},
      {"weight", &a->weight, PLAIN_INPUT, dtype, 2, {C, W}},
      {"bias", &a->bias, PLAIN_OPTIONAL, dtype, 1, {C}},
      {"state_indices", &a->state_indices, PLAIN_OPTIONAL, PACKPROOF_I32, 1, {N}},
      {"conv_state", &a->conv_state, PLAIN_OUTPUT, dtype, 3, {S, C, W - 1}},
      {"output", &a->output, PLAIN_OUTPUT, dtype, 2, {N, C}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  plain_check_activation(&check, a->activation);
  plain_check_slots(&check, &a->state_indices, N, S);
  return check;
}

/* One channel: the window is the state and x; the state then forgets its oldest column. */
static float update_channel(const packproof_causal_conv1d_update_args* a, int64_t slot, int64_t n,
                            int64_t c) {
  const int64_t W = a->weight.shape[1];
  const float x = plain_load(&a->x, plain_at(&a->x, n, c));
  float sum = plain_present(&a->bias) ? plain_load(&a->bias, c * a->bias.stride[0]) : 0.0f;
  for (int64_t j = 0; j < W; ++j) {
    const float input =
        j < W - 1 ? plain_load(&a->conv_state, plain_at3(&a->conv_state, slot, c, j)) : x;
    sum += plain_load(&a->weight, plain_at(&a->weight, c, j)) * input;
  }
  for (int64_t j = 0; j < W - 1; ++j) {
    const float next =
        j < W - 2 ? plain_load(&a->conv_state, plain_at3(&a->conv_state, slot, c, j + 1)) : x;
    plain_store(&a->conv_state, plain_at3(&a->conv_state, slot, c, j), next);
  }
  return a->activation == PACKPROOF_SILU ? plain_silu(sum) : sum;
}

static void causal_conv1d_update(const void* arguments, void* workspace) {
  const packproof_causal_conv1d_update_args* a = arguments;
  (void)workspace;
  for (int64_t n = 0; n < a->x.shape[0]; ++n) {
    const int64_t slot = plain_slot(&a->state_indices, n);
    for (int64_t c = 0; c < a->x.shape[1]; ++c) {
      plain_store(&a->output, plain_at(&a->output, n, c),
                  slot < 0 ? 0.0f : update_channel(a, slot, n, c));
    }
  }
}

const plain_row plain_causal_conv1d_fwd = {examine, causal_conv1d_fwd_workspace, causal_conv1d_fwd};
const plain_row plain_causal_conv1d_update = {examine_update, NULL, causal_conv1d_update};
