/* One token of the gated delta rule (spec 3.1), shared by prefill, update and backward. States are
 * [K, V] floats, one per sequence and value head. */
#ifndef PACKPROOF_PLAIN_GATED_DELTA_RULE_H
#define PACKPROOF_PLAIN_GATED_DELTA_RULE_H

#include "kernels/plain/argument_check.h"
#include "packproof/kernel_abi.h"

/* A checked call. Rows are tokens through the batch (prefill, backward) or sequences (update). */
typedef struct plain_rule {
  const packproof_tensor *q, *k, *v, *g, *a, *A_log, *dt_bias, *beta;
  int64_t key_heads, value_heads, K, V;
  float scale;
  int qk_l2norm;
  int leading; /* Axes before the heads: 2 for tokens [B, T], 1 for sequences [N]. */
} plain_rule;

/* What one value head reads of one row. */
typedef struct plain_rule_token {
  float *q, *k;           /* [K], normalised where the call asks for it. */
  float* v;               /* [V] */
  float q_scale, k_scale; /* What normalisation multiplied by, else 1. */
  float g, beta;
} plain_rule_token;

/* Gate, shapes and heads; the sizes are those of q and v. */
void plain_rule_check(plain_check* check, const plain_rule* rule);

/* Reads the sizes of checked tensors and puts K^-1/2 where no scale is given. */
void plain_rule_complete(plain_rule* rule, float scale);

/* Offset of element 0 of a head in a row. */
int64_t plain_rule_offset(const plain_rule* rule, const packproof_tensor* tensor, int64_t row,
                          int64_t head);

/* token->q, k and v point to memory for K, K and V floats. */
void plain_rule_load(const plain_rule* rule, int64_t row, int64_t value_head,
                     plain_rule_token* token);

/* state *= exp(g): S~ of spec 3.1. */
void plain_rule_decay(const plain_rule* rule, const plain_rule_token* token, float* state);

/* delta = beta (v - S~^T k) into delta[V]. */
void plain_rule_correct(const plain_rule* rule, const plain_rule_token* token, const float* state,
                        float* delta);

/* state += k delta^T. */
void plain_rule_write(const plain_rule* rule, const plain_rule_token* token, const float* delta,
                      float* state);

#endif
