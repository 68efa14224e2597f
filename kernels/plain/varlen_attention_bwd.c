/* Gradients of causal softmax attention inside each sequence: with weights p and dP_j = dO . v_j,
 *   dS_j = p_j (dP_j - sum_l p_l dP_l)    dq = scale sum_j dS_j k_j
 *   dk_j = scale sum dS_j q    dv_j = sum p_j dO, over the queries and query heads that read key j
 * Weights are recomputed from q and k: the forward's output and lse are not needed. */
#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/scalar_functions.h"
#include "kernels/plain/sequences.h"
#include "kernels/plain/tensor_access.h"
#include "kernels/plain/varlen_attention.h"

#include <string.h>

typedef packproof_varlen_attention_bwd_args Args;

static plain_check examine(const void* arguments) {
  const Args* a = arguments;
  plain_check check = plain_check_of("varlen_attention backward", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "q", &a->q, 4) || !plain_check_leading(&check, "k", &a->k, 4)) {
    return check;
  }
  const plain_attention attention = plain_attention_of(&a->q, &a->k, &a->v, a->scale);
  const int gradient = PLAIN_OUTPUT | PLAIN_OPTIONAL;
  const int32_t dtype = a->q.dtype;
  const int64_t B = a->q.shape[0], T = a->q.shape[1], Hq = a->q.shape[2], Hkv = a->k.shape[2];
  const int64_t D = a->q.shape[3];
  const plain_operand operands[] = {
      {"q", &a->q, PLAIN_INPUT, dtype, 4, {B, T, Hq, D}},
      {"k", &a->k, PLAIN_INPUT, dtype, 4, {B, T, Hkv, D}},
      {"v", &a->v, PLAIN_INPUT, dtype, 4, {B, T, Hkv, D}},
      {"output", &a->output, PLAIN_OPTIONAL, dtype, 4, {B, T, Hq, D}},
      {"lse", &a->lse, PLAIN_OPTIONAL, PACKPROOF_F32, 3, {B, T, Hq}},
      {"d_output", &a->d_output, PLAIN_INPUT, dtype, 4, {B, T, Hq, D}},
      {"d_q", &a->d_q, gradient, dtype, 4, {B, T, Hq, D}},
      {"d_k", &a->d_k, gradient, dtype, 4, {B, T, Hkv, D}},
      {"d_v", &a->d_v, gradient, dtype, 4, {B, T, Hkv, D}},
  };
  plain_attention_check(&check, &attention);
  plain_check_packing(&check, &a->packing, B, T);
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  plain_check_sequences(&check, &a->packing);
  return check;
}

/* Boundaries, then floats: query, key (values too), d_output and d_query rows, weights and d_scores
 * of every key, d_k and d_v of one key head. */
static size_t varlen_attention_bwd_workspace(const void* arguments) {
  const Args* a = arguments;
  const int64_t T = a->q.shape[1], D = a->q.shape[3];
  return (size_t)(a->packing.num_seqs + 1) * sizeof(int64_t) +
         (size_t)(4 * D + 2 * T + 2 * T * D) * sizeof(float);
}

typedef struct Memory {
  float *query, *key, *d_output, *d_query, *weights, *d_scores, *d_k, *d_v;
} Memory;

/* One query of one head; adds to d_k and d_v of the rows begin..row. */
static void backward_of_query(const Args* a, const plain_attention* attention, int64_t begin,
                              int64_t row, int64_t head, const Memory* memory) {
  const int64_t dim = attention->dim, keys = row - begin + 1;
  const int64_t key_head = head / (attention->query_heads / attention->key_heads);
  float mean = 0.0f; /* sum_l p_l dP_l */
  plain_attention_weights(attention, begin, row, head, memory->query, memory->key, memory->weights);
  plain_load_run(&a->d_output, plain_attention_offset(&a->d_output, row, head), 3, dim,
                 memory->d_output);
  for (int64_t j = 0; j < keys; ++j) {
    plain_load_run(&a->v, plain_attention_offset(&a->v, begin + j, key_head), 3, dim, memory->key);
    memory->d_scores[j] = plain_dot(memory->d_output, memory->key, dim);
    mean += memory->weights[j] * memory->d_scores[j];
  }
  for (int64_t i = 0; i < dim; ++i) memory->d_query[i] = 0.0f;
  for (int64_t j = 0; j < keys; ++j) {
    const float d_score = attention->scale * (memory->weights[j] * (memory->d_scores[j] - mean));
    plain_load_run(&a->k, plain_attention_offset(&a->k, begin + j, key_head), 3, dim, memory->key);
    for (int64_t i = 0; i < dim; ++i) {
      memory->d_query[i] += d_score * memory->key[i];
      memory->d_k[j * dim + i] += d_score * memory->query[i];
      memory->d_v[j * dim + i] += memory->weights[j] * memory->d_output[i];
    }
  }
  if (plain_present(&a->d_q)) {
    plain_store_run(&a->d_q, plain_attention_offset(&a->d_q, row, head), 3, dim, memory->d_query);
  }
}

static void varlen_attention_bwd(const void* arguments, void* workspace) {
  const Args* a = arguments;
  const plain_attention attention = plain_attention_of(&a->q, &a->k, &a->v, a->scale);
  const int64_t dim = attention.dim, group = attention.query_heads / attention.key_heads;
  const int64_t longest = a->q.shape[1];
  int64_t* boundaries = workspace;
  float* rows = (float*)(boundaries + a->packing.num_seqs + 1);
  float* lists = rows + 4 * dim;
  const Memory memory = {.query = rows,
                         .key = rows + dim,
                         .d_output = rows + 2 * dim,
                         .d_query = rows + 3 * dim,
                         .weights = lists,
                         .d_scores = lists + longest,
                         .d_k = lists + 2 * longest,
                         .d_v = lists + 2 * longest + longest * dim};
  plain_fill_boundaries(&a->packing, a->q.shape[1], boundaries);
  for (int64_t n = 0; n < a->packing.num_seqs; ++n) {
    const int64_t begin = boundaries[n], end = boundaries[n + 1];
    for (int64_t key_head = 0; key_head < attention.key_heads; ++key_head) {
      memset(memory.d_k, 0, (size_t)((end - begin) * dim) * sizeof(float));
      memset(memory.d_v, 0, (size_t)((end - begin) * dim) * sizeof(float));
      for (int64_t i = 0; i < group; ++i) {
        for (int64_t row = begin; row < end; ++row) {
          backward_of_query(a, &attention, begin, row, key_head * group + i, &memory);
        }
      }
      for (int64_t row = begin; row < end; ++row) {
        const int64_t of_row = (row - begin) * dim;
        if (plain_present(&a->d_k)) {
          plain_store_run(&a->d_k, plain_attention_offset(&a->d_k, row, key_head), 3, dim,
                          memory.d_k + of_row);
        }
        if (plain_present(&a->d_v)) {
          plain_store_run(&a->d_v, plain_attention_offset(&a->d_v, row, key_head), 3, dim,
                          memory.d_v + of_row);
        }
      }
    }
  }
}

const plain_row plain_varlen_attention_bwd = {examine, varlen_attention_bwd_workspace,
                                              varlen_attention_bwd};
