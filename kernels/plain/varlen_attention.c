/* Causal softmax attention inside each sequence (spec 2.4 step 4), query by query, in two passes
 * over its keys: scores and their largest, then exponentials. Rows of no sequence are not touched. */
#include "kernels/plain/varlen_attention.h"

#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/scalar_functions.h"
#include "kernels/plain/sequences.h"
#include "kernels/plain/tensor_access.h"

typedef packproof_varlen_attention_fwd_args Args;

plain_attention plain_attention_of(const packproof_tensor* q, const packproof_tensor* k,
                                   const packproof_tensor* v, float scale) {
  const plain_attention attention = {q,
                                     k,
                                     v,
                                     q->shape[2],
                                     k->shape[2],
                                     q->shape[3],
                                     scale != 0.0f ? scale : 1.0f / sqrtf((float)q->shape[3])};
  return attention;
}

void plain_attention_check(plain_check* check, const plain_attention* attention) {
  if (attention->key_heads >= 1 && attention->query_heads >= 1 &&
      attention->query_heads % attention->key_heads == 0) {
    return;
  }
  plain_refuse(check, "expected query heads in multiples of the key heads, found %lld and %lld",
               (long long)attention->query_heads, (long long)attention->key_heads);
}

int64_t plain_attention_offset(const packproof_tensor* tensor, int64_t row, int64_t head) {
  return plain_token(tensor, row) + head * tensor->stride[2];
}

float plain_attention_weights(const plain_attention* attention, int64_t begin, int64_t row,
                              int64_t query_head, float* query, float* key, float* weights) {
  const int64_t key_head = query_head / (attention->query_heads / attention->key_heads);
  const int64_t keys = row - begin + 1;
  float largest = 0.0f, sum = 0.0f;
  plain_load_run(attention->q, plain_attention_offset(attention->q, row, query_head), 3,
                 attention->dim, query);
  for (int64_t j = 0; j < keys; ++j) {
    plain_load_run(attention->k, plain_attention_offset(attention->k, begin + j, key_head), 3,
                   attention->dim, key);
    weights[j] = attention->scale * plain_dot(query, key, attention->dim);
    if (j == 0 || weights[j] > largest) largest = weights[j];
  }
  for (int64_t j = 0; j < keys; ++j) {
    weights[j] = expf(weights[j] - largest);
    sum += weights[j];
  }
  for (int64_t j = 0; j < keys; ++j) weights[j] /= sum;
  return largest + logf(sum);
}

static plain_check examine(const void* arguments) {
  const Args* a = arguments;
  plain_check check = plain_check_of("varlen_attention", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "q", &a->q, 4) || !plain_check_leading(&check, "k", &a->k, 4)) {
    return check;
  }
  const plain_attention attention = plain_attention_of(&a->q, &a->k, &a->v, a->scale);
  const int32_t dtype = a->q.dtype;
  const int64_t B = a->q.shape[0], T = a->q.shape[1], Hq = a->q.shape[2], Hkv = a->k.shape[2];
  const int64_t D = a->q.shape[3];
  const plain_operand operands[] = {
      {"q", &a->q, PLAIN_INPUT, dtype, 4, {B, T, Hq, D}},
      {"k", &a->k, PLAIN_INPUT, dtype, 4, {B, T, Hkv, D}},
      {"v", &a->v, PLAIN_INPUT, dtype, 4, {B, T, Hkv, D}},
      {"output", &a->output, PLAIN_OUTPUT, dtype, 4, {B, T, Hq, D}},
      {"lse", &a->lse, PLAIN_OUTPUT | PLAIN_OPTIONAL, PACKPROOF_F32, 3, {B, T, Hq}},
  };
  plain_attention_check(&check, &attention);
  plain_check_packing(&check, &a->packing, B, T);
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  plain_check_sequences(&check, &a->packing);
  return check;
}

/* Boundaries, then floats: a query, a key (values too), an output row, weights of every key. */
static size_t varlen_attention_fwd_workspace(const void* arguments) {
  const Args* a = arguments;
  return (size_t)(a->packing.num_seqs + 1) * sizeof(int64_t) +
         (size_t)(3 * a->q.shape[3] + a->q.shape[1]) * sizeof(float);
}

static void varlen_attention_fwd(const void* arguments, void* workspace) {
  const Args* a = arguments;
  const plain_attention attention = plain_attention_of(&a->q, &a->k, &a->v, a->scale);
  const int64_t dim = attention.dim;
  int64_t* boundaries = workspace;
  float* query = (float*)(boundaries + a->packing.num_seqs + 1);
  float *key = query + dim, *output = key + dim, *weights = output + dim;
  plain_fill_boundaries(&a->packing, a->q.shape[1], boundaries);
  for (int64_t n = 0; n < a->packing.num_seqs; ++n) {
    for (int64_t row = boundaries[n]; row < boundaries[n + 1]; ++row) {
      for (int64_t head = 0; head < attention.query_heads; ++head) {
        const int64_t key_head = head / (attention.query_heads / attention.key_heads);
        const float lse =
            plain_attention_weights(&attention, boundaries[n], row, head, query, key, weights);
        for (int64_t i = 0; i < dim; ++i) output[i] = 0.0f;
        for (int64_t j = boundaries[n]; j <= row; ++j) {
          plain_load_run(&a->v, plain_attention_offset(&a->v, j, key_head), 3, dim, key);
          for (int64_t i = 0; i < dim; ++i) output[i] += weights[j - boundaries[n]] * key[i];
        }
        plain_store_run(&a->output, plain_attention_offset(&a->output, row, head), 3, dim, output);
        if (plain_present(&a->lse)) {
          plain_store(&a->lse, plain_attention_offset(&a->lse, row, head), lse);
        }
      }
    }
  }
}

const plain_row plain_varlen_attention_fwd = {examine, varlen_attention_fwd_workspace,
                                              varlen_attention_fwd};
