/* Gradients of the gated delta rule by the derived formulas (spec 3.3), per sequence and value head,
 * from the last token to the first; G is the gradient of the state:
 *   G += s q dO^T          dq = s S dO
 *   e = G^T k              dv = beta e          dbeta = e . (v - rho)
 *   dk = G delta - S~ dv   Ghat = G - k dv^T    dg = <Ghat, S~>     G = exp(g) Ghat
 * States are recomputed forwards: one is kept every sqrt(T) tokens, and those of one segment at a
 * time. dq and dk are summed over the value heads of a key head in f32, then go through the l2norm;
 * dA_log and ddt_bias are summed over the tokens in order. Empty sequences hand the gradient of the
 * final state on to the initial one. */
#include "kernels/plain/gated_delta_rule.h"
#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/scalar_functions.h"
#include "kernels/plain/sequences.h"
#include "kernels/plain/tensor_access.h"

#include <string.h>

typedef packproof_gated_delta_rule_bwd_args Args;

static plain_rule rule_of(const Args* a) {
  plain_rule rule = {.q = &a->q,
                     .k = &a->k,
                     .v = &a->v,
                     .g = &a->g,
                     .a = &a->a,
                     .A_log = &a->A_log,
                     .dt_bias = &a->dt_bias,
                     .beta = &a->beta,
                     .qk_l2norm = a->qk_l2norm,
                     .leading = 2};
  plain_rule_complete(&rule, a->scale);
  return rule;
}

static plain_check examine(const void* arguments) {
  const Args* a = arguments;
  plain_check check = plain_check_of("gated_delta_rule backward", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "q", &a->q, 4) || !plain_check_leading(&check, "v", &a->v, 4)) {
    return check;
  }
  const plain_rule rule = rule_of(a);
  plain_rule_check(&check, &rule);
  const int gradient = PLAIN_OUTPUT | PLAIN_OPTIONAL;
  const int32_t dtype = a->q.dtype, f32 = PACKPROOF_F32;
  const int64_t B = a->q.shape[0], T = a->q.shape[1], N = a->packing.num_seqs;
  const int64_t Hk = rule.key_heads, Hv = rule.value_heads, K = rule.K, V = rule.V;
  const plain_operand operands[] = {
      {"q", &a->q, PLAIN_INPUT, dtype, 4, {B, T, Hk, K}},
      {"k", &a->k, PLAIN_INPUT, dtype, 4, {B, T, Hk, K}},
      {"v", &a->v, PLAIN_INPUT, dtype, 4, {B, T, Hv, V}},
      {"g", &a->g, PLAIN_OPTIONAL, f32, 3, {B, T, Hv}},
      {"a", &a->a, PLAIN_OPTIONAL, dtype, 3, {B, T, Hv}},
      {"A_log", &a->A_log, PLAIN_OPTIONAL, f32, 1, {Hv}},
      {"dt_bias", &a->dt_bias, PLAIN_OPTIONAL, f32, 1, {Hv}},
      {"beta", &a->beta, PLAIN_INPUT, dtype, 3, {B, T, Hv}},
      {"initial_state", &a->initial_state, PLAIN_OPTIONAL, f32, 4, {N, Hv, K, V}},
      {"d_output", &a->d_output, PLAIN_INPUT, dtype, 4, {B, T, Hv, V}},
      {"d_final_state", &a->d_final_state, PLAIN_OPTIONAL, f32, 4, {N, Hv, K, V}},
      {"d_q", &a->d_q, gradient, dtype, 4, {B, T, Hk, K}},
      {"d_k", &a->d_k, gradient, dtype, 4, {B, T, Hk, K}},
      {"d_v", &a->d_v, gradient, dtype, 4, {B, T, Hv, V}},
      {"d_g", &a->d_g, gradient, f32, 3, {B, T, Hv}},
      {"d_a", &a->d_a, gradient, dtype, 3, {B, T, Hv}},
      {"d_A_log", &a->d_A_log, gradient, f32, 1, {Hv}},
      {"d_dt_bias", &a->d_dt_bias, gradient, f32, 1, {Hv}},
      {"d_beta", &a->d_beta, gradient, dtype, 3, {B, T, Hv}},
      {"d_initial_state", &a->d_initial_state, gradient, f32, 4, {N, Hv, K, V}},
  };
  plain_check_packing(&check, &a->packing, B, T);
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  const int of_parts =
      plain_present(&a->d_a) || plain_present(&a->d_A_log) || plain_present(&a->d_dt_bias);
  if (plain_present(&a->g) ? of_parts : plain_present(&a->d_g)) {
    plain_refuse(&check, "expected gradients of %s alone, found a request for others",
                 plain_present(&a->g) ? "g" : "a, A_log and dt_bias");
  }
  plain_check_sequences(&check, &a->packing);
  return check;
}

/* Smallest square root not below. */
static int64_t segment_length(int64_t tokens) {
  int64_t length = 1;
  while (length * length < tokens) ++length;
  return length;
}

/* Where everything lies in the workspace. */
typedef struct Memory {
  int64_t* boundaries;
  float *checkpoints, *states;   /* [segments, K, V], [segment, K, V]: states before tokens. */
  float *decayed, *after, *G;    /* [K, V] */
  float *d_q, *d_k;              /* [T, K] of one sequence and key head. */
  float *d_A_log, *d_dt_bias;    /* [Hv] */
  float *q, *k, *v;              /* A token's rows. */
  float *delta, *d_output, *d_v; /* [V] */
  size_t bytes;
} Memory;

static Memory memory_of(const Args* a, void* workspace) {
  const int64_t K = a->q.shape[3], V = a->v.shape[3], T = a->q.shape[1], Hv = a->v.shape[2];
  const int64_t segment = segment_length(T);
  const size_t head = (size_t)(a->packing.num_seqs + 1) * sizeof(int64_t);
  const int64_t counts[] = {segment * K * V,
                            segment * K * V,
                            K * V,
                            K * V,
                            K * V,
                            T * K,
                            T * K,
                            Hv,
                            Hv,
                            K,
                            K,
                            V,
                            V,
                            V,
                            V};
  Memory memory;
  float** const parts[] = {&memory.checkpoints, &memory.states,   &memory.decayed, &memory.after,
                           &memory.G,           &memory.d_q,      &memory.d_k,     &memory.d_A_log,
                           &memory.d_dt_bias,   &memory.q,        &memory.k,       &memory.v,
                           &memory.delta,       &memory.d_output, &memory.d_v};
  memory.boundaries = workspace;
  memory.bytes = head;
  for (size_t i = 0; i < sizeof counts / sizeof *counts; ++i) {
    *parts[i] = workspace ? (float*)((char*)workspace + memory.bytes) : NULL;
    memory.bytes += (size_t)counts[i] * sizeof(float);
  }
  return memory;
}

static size_t gated_delta_rule_bwd_workspace(const void* arguments) {
  return memory_of(arguments, NULL).bytes;
}

static void load_state(const packproof_tensor* tensor, const plain_rule* rule, int64_t n,
                       int64_t head, float* state) {
  memset(state, 0, (size_t)(rule->K * rule->V) * sizeof(float));
  for (int64_t i = 0; plain_present(tensor) && i < rule->K; ++i) {
    plain_load_run(tensor, plain_at3(tensor, n, head, i), 3, rule->V, state + i * rule->V);
  }
}

/* The state after one more token. */
static void advance(const plain_rule* rule, int64_t row, int64_t head, const Memory* memory,
                    float* state) {
  plain_rule_token token = {.q = memory->q, .k = memory->k, .v = memory->v};
  plain_rule_load(rule, row, head, &token);
  plain_rule_decay(rule, &token, state);
  plain_rule_correct(rule, &token, state, memory->delta);
  plain_rule_write(rule, &token, memory->delta, state);
}

static void store_gate_gradient(const Args* a, const plain_rule* rule, int64_t row, int64_t head,
                                const plain_rule_token* token, float d_g, const Memory* memory) {
  if (plain_present(&a->d_g)) {
    plain_store(&a->d_g, plain_rule_offset(rule, &a->d_g, row, head), d_g);
  }
  if (!plain_present(&a->a)) return;
  /* da = -dg exp(A_log) sigma(a + dt_bias), dA_log = dg g (spec 3.5). */
  const float x = plain_load(&a->a, plain_rule_offset(rule, &a->a, row, head)) +
                  plain_load(&a->dt_bias, head * a->dt_bias.stride[0]);
  const float A_log = plain_load(&a->A_log, head * a->A_log.stride[0]);
  const float d_a = -d_g * expf(A_log) * plain_sigmoid(x);
  if (plain_present(&a->d_a)) {
    plain_store(&a->d_a, plain_rule_offset(rule, &a->d_a, row, head), d_a);
  }
  memory->d_dt_bias[head] += d_a;
  memory->d_A_log[head] += d_g * token->g;
}

/* One token of spec 3.3. `before` is S_{t-1}; d_q and d_k are the token's sums of its key head. */
static void step_back(const Args* a, const plain_rule* rule, int64_t row, int64_t head,
                      const float* before, const Memory* memory, float* d_q, float* d_k) {
  const int64_t K = rule->K, V = rule->V;
  float *G = memory->G, *decayed = memory->decayed, *after = memory->after, *delta = memory->delta;
  float *d_output = memory->d_output, *d_v = memory->d_v;
  plain_rule_token token = {.q = memory->q, .k = memory->k, .v = memory->v};
  plain_rule_load(rule, row, head, &token);
  plain_load_run(&a->d_output, plain_rule_offset(rule, &a->d_output, row, head), 3, V, d_output);
  memcpy(decayed, before, (size_t)(K * V) * sizeof(float));
  plain_rule_decay(rule, &token, decayed);
  plain_rule_correct(rule, &token, decayed, delta);
  memcpy(after, decayed, (size_t)(K * V) * sizeof(float));
  plain_rule_write(rule, &token, delta, after);

  for (int64_t j = 0; j < V; ++j) d_v[j] = 0.0f;
  for (int64_t i = 0; i < K; ++i) {
    d_q[i] += rule->scale * plain_dot(after + i * V, d_output, V);
    for (int64_t j = 0; j < V; ++j) {
      G[i * V + j] += rule->scale * token.q[i] * d_output[j];
      d_v[j] += G[i * V + j] * token.k[i]; /* e, until it is multiplied by beta below */
    }
  }
  float d_beta = 0.0f;
  for (int64_t j = 0; j < V; ++j) {
    float predicted = 0.0f;
    for (int64_t i = 0; i < K; ++i) predicted += decayed[i * V + j] * token.k[i];
    d_beta += d_v[j] * (token.v[j] - predicted);
    d_v[j] *= token.beta;
  }
  float d_g = 0.0f;
  const float decay = expf(token.g);
  for (int64_t i = 0; i < K; ++i) {
    d_k[i] += plain_dot(G + i * V, delta, V) - plain_dot(decayed + i * V, d_v, V);
    for (int64_t j = 0; j < V; ++j) {
      const float G_decayed = G[i * V + j] - token.k[i] * d_v[j];
      d_g += G_decayed * decayed[i * V + j];
      G[i * V + j] = decay * G_decayed;
    }
  }
  if (plain_present(&a->d_v)) {
    plain_store_run(&a->d_v, plain_rule_offset(rule, &a->d_v, row, head), 3, V, d_v);
  }
  if (plain_present(&a->d_beta)) {
    plain_store(&a->d_beta, plain_rule_offset(rule, &a->d_beta, row, head), d_beta);
  }
  store_gate_gradient(a, rule, row, head, &token, d_g, memory);
}

/* One sequence and value head; adds to the sums of its key head. */
static void backward_of_head(const Args* a, const plain_rule* rule, int64_t n, int64_t head,
                             const Memory* memory) {
  const int64_t begin = memory->boundaries[n], end = memory->boundaries[n + 1];
  const int64_t size = rule->K * rule->V, segment = segment_length(end - begin);
  load_state(&a->initial_state, rule, n, head, memory->after);
  for (int64_t row = begin; row < end; ++row) {
    if ((row - begin) % segment == 0) {
      memcpy(memory->checkpoints + (row - begin) / segment * size, memory->after,
             (size_t)size * sizeof(float));
    }
    advance(rule, row, head, memory, memory->after);
  }
  load_state(&a->d_final_state, rule, n, head, memory->G);
  for (int64_t last = end; last > begin;) {
    const int64_t first = begin + (last - 1 - begin) / segment * segment;
    memcpy(memory->states, memory->checkpoints + (first - begin) / segment * size,
           (size_t)size * sizeof(float));
    for (int64_t row = first; row + 1 < last; ++row) {
      float* const next = memory->states + (row + 1 - first) * size;
      memcpy(next, next - size, (size_t)size * sizeof(float));
      advance(rule, row, head, memory, next);
    }
    for (int64_t row = last - 1; row >= first; --row) {
      step_back(a, rule, row, head, memory->states + (row - first) * size, memory,
                memory->d_q + (row - begin) * rule->K, memory->d_k + (row - begin) * rule->K);
    }
    last = first;
  }
  for (int64_t i = 0; plain_present(&a->d_initial_state) && i < rule->K; ++i) {
    plain_store_run(&a->d_initial_state, plain_at3(&a->d_initial_state, n, head, i), 3, rule->V,
                    memory->G + i * rule->V);
  }
}

/* Through the l2norm y = x r: dx = r (dy - y (y.dy)), spec 3.5. */
static void store_key_gradient(const plain_rule* rule, const packproof_tensor* gradient,
                               int64_t row, int64_t key_head, const float* y, float factor,
                               float* d_y) {
  if (!plain_present(gradient)) return;
  if (rule->qk_l2norm) {
    const float along = plain_dot(y, d_y, rule->K);
    for (int64_t i = 0; i < rule->K; ++i) d_y[i] = factor * (d_y[i] - y[i] * along);
  }
  plain_store_run(gradient, plain_rule_offset(rule, gradient, row, key_head), 3, rule->K, d_y);
}

static void gated_delta_rule_bwd(const void* arguments, void* workspace) {
  const Args* a = arguments;
  const plain_rule rule = rule_of(a);
  const Memory memory = memory_of(a, workspace);
  const int64_t group = rule.value_heads / rule.key_heads;
  plain_fill_boundaries(&a->packing, a->q.shape[1], memory.boundaries);
  memset(memory.d_A_log, 0, (size_t)rule.value_heads * sizeof(float));
  memset(memory.d_dt_bias, 0, (size_t)rule.value_heads * sizeof(float));
  for (int64_t n = 0; n < a->packing.num_seqs; ++n) {
    const int64_t begin = memory.boundaries[n], tokens = memory.boundaries[n + 1] - begin;
    for (int64_t key_head = 0; key_head < rule.key_heads; ++key_head) {
      memset(memory.d_q, 0, (size_t)(tokens * rule.K) * sizeof(float));
      memset(memory.d_k, 0, (size_t)(tokens * rule.K) * sizeof(float));
      for (int64_t i = 0; i < group; ++i) {
        backward_of_head(a, &rule, n, key_head * group + i, &memory);
      }
      for (int64_t t = 0; t < tokens && group > 0; ++t) {
        plain_rule_token token = {.q = memory.q, .k = memory.k, .v = memory.v};
        plain_rule_load(&rule, begin + t, key_head * group, &token);
        store_key_gradient(&rule, &a->d_q, begin + t, key_head, token.q, token.q_scale,
                           memory.d_q + t * rule.K);
        store_key_gradient(&rule, &a->d_k, begin + t, key_head, token.k, token.k_scale,
                           memory.d_k + t * rule.K);
      }
    }
  }
  if (plain_present(&a->d_A_log)) {
    plain_store_run(&a->d_A_log, 0, 0, rule.value_heads, memory.d_A_log);
  }
  if (plain_present(&a->d_dt_bias)) {
    plain_store_run(&a->d_dt_bias, 0, 0, rule.value_heads, memory.d_dt_bias);
  }
}

const plain_row plain_gated_delta_rule_bwd = {examine, gated_delta_rule_bwd_workspace,
                                              gated_delta_rule_bwd};
