/* What the convolution's forward and backward share: which row or state column a tap reads. */
#ifndef PACKPROOF_PLAIN_CAUSAL_CONV1D_H
#define PACKPROOF_PLAIN_CAUSAL_CONV1D_H

#include "packproof/kernel_abi.h"

/* A checked call: rows are numbered through the batch, boundaries have num_seqs + 1 entries. */
typedef struct plain_conv {
  const packproof_tensor *x, *weight, *bias, *initial_state;
  const int32_t* seq_idx; /* Or null. */
  const int64_t* boundaries;
  int64_t num_seqs, rows, channels, width;
  int32_t activation;
} plain_conv;

/* The sequence of a row by the boundaries, -1 for none. Rows are asked in increasing order: `hint`
 * starts at 0 and remembers the last answer. */
int64_t plain_conv_sequence(const plain_conv* conv, int64_t row, int64_t* hint);

/* Rows that have a value: of an id of at least 0 or, without ids, of a sequence. */
int plain_conv_defined(const plain_conv* conv, int64_t row, int64_t sequence);

typedef enum plain_tap_kind { PLAIN_TAP_NONE, PLAIN_TAP_ROW, PLAIN_TAP_STATE } plain_tap_kind;

/* What tap j of a defined row reads: a row of x, or a column of its sequence's initial state. */
plain_tap_kind plain_conv_tap(const plain_conv* conv, int64_t row, int64_t sequence, int64_t j,
                              int64_t* index);

/* The value that a tap reads, 0 for none. */
float plain_conv_input(const plain_conv* conv, int64_t row, int64_t sequence, int64_t channel,
                       int64_t j);

/* bias[c] + sum_j weight[c, j] x[t - W + 1 + j, c], spec 2.5 step 3. */
float plain_conv_sum(const plain_conv* conv, int64_t row, int64_t sequence, int64_t channel);

#endif
