/* What attention's forward and backward share: the weights of one query over the keys up to it. */
#ifndef PACKPROOF_PLAIN_VARLEN_ATTENTION_H
#define PACKPROOF_PLAIN_VARLEN_ATTENTION_H

#include "kernels/plain/argument_check.h"
#include "packproof/kernel_abi.h"

/* A checked call. Rows are tokens through the batch. */
typedef struct plain_attention {
  const packproof_tensor *q, *k, *v;
  int64_t query_heads, key_heads, dim;
  float scale;
} plain_attention;

/* Sizes of q, k, v, with D^-1/2 where no scale is given. */
plain_attention plain_attention_of(const packproof_tensor* q, const packproof_tensor* k,
                                   const packproof_tensor* v, float scale);

void plain_attention_check(plain_check* check, const plain_attention* attention);

int64_t plain_attention_offset(const packproof_tensor* tensor, int64_t row, int64_t head);

/* weights[j] = softmax over rows begin..row of scale q.k, for query `row`; `query` and `key` hold a
 * head's row each. Returns the log of the denominator. */
float plain_attention_weights(const plain_attention* attention, int64_t begin, int64_t row,
                              int64_t query_head, float* query, float* key, float* weights);

#endif
