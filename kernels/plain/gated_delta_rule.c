/* The gated delta rule from its recurrent definition (spec 3.1), per sequence and value head:
 *   S~ = exp(g) S; delta = beta (v - S~^T k); S = S~ + k delta^T; o = scale S^T q
 * The chunked op asks for the same result and gets the same loop. The state lives in the workspace
 * until the last token; an update works on its slot of the pool. */
#include "kernels/plain/gated_delta_rule.h"

#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/sequences.h"
#include "kernels/plain/tensor_access.h"

typedef packproof_gated_delta_rule_fwd_args ForwardArgs;
typedef packproof_gated_delta_rule_update_args UpdateArgs;

static plain_rule rule_of(const ForwardArgs* a) {
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
  const ForwardArgs* a = arguments;
  plain_check check = plain_check_of("gated_delta_rule", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "q", &a->q, 4) || !plain_check_leading(&check, "v", &a->v, 4)) {
    return check;
  }
  const plain_rule rule = rule_of(a);
  plain_rule_check(&check, &rule);
  const int32_t dtype = a->q.dtype, f32 = PACKPROOF_F32;
  const int64_t B = a->q.shape[0], T = a->q.shape[1], N = a->packing.num_seqs;
  const int64_t S = plain_present(&a->state) ? a->state.shape[0] : 0;
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
      {"output", &a->output, PLAIN_OUTPUT, dtype, 4, {B, T, Hv, V}},
      {"final_state", &a->final_state, PLAIN_OUTPUT | PLAIN_OPTIONAL, f32, 4, {N, Hv, K, V}},
      {"state_indices", &a->state_indices, PLAIN_OPTIONAL, PACKPROOF_I32, 1, {N}},
      {"state", &a->state, PLAIN_OUTPUT | PLAIN_OPTIONAL, f32, 4, {S, Hv, K, V}},
  };
  plain_check_packing(&check, &a->packing, B, T);
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  if (plain_present(&a->state)) {
    if (plain_present(&a->initial_state) || plain_present(&a->final_state)) {
      plain_refuse(&check, "expected either state or initial_state and final_state, found both");
    }
    plain_check_slots(&check, &a->state_indices, N, S);
  } else if (plain_present(&a->state_indices)) {
    plain_refuse(&check, "expected state_indices beside a pool, found them without state");
  }
  plain_check_sequences(&check, &a->packing);
  return check;
}

/* Boundaries, then floats: a state, q, k, v, delta (the output's row afterwards). */
static size_t gated_delta_rule_fwd_workspace(const void* arguments) {
  const ForwardArgs* a = arguments;
  const int64_t K = a->q.shape[3], V = a->v.shape[3];
  return (size_t)(a->packing.num_seqs + 1) * sizeof(int64_t) +
         (size_t)(K * V + 2 * K + 2 * V) * sizeof(float);
}

/* One token; the output's row replaces delta. */
static void step(const plain_rule* rule, const plain_rule_token* token, float* state,
                 float* delta) {
  plain_rule_decay(rule, token, state);
  plain_rule_correct(rule, token, state, delta);
  plain_rule_write(rule, token, delta, state);
  for (int64_t j = 0; j < rule->V; ++j) delta[j] = 0.0f;
  for (int64_t i = 0; i < rule->K; ++i) {
    for (int64_t j = 0; j < rule->V; ++j) delta[j] += state[i * rule->V + j] * token->q[i];
  }
  for (int64_t j = 0; j < rule->V; ++j) delta[j] *= rule->scale;
}

static void gated_delta_rule_fwd(const void* arguments, void* workspace) {
  const ForwardArgs* a = arguments;
  const plain_rule rule = rule_of(a);
  int64_t* boundaries = workspace;
  float* state = (float*)(boundaries + a->packing.num_seqs + 1);
  float* rows = state + rule.K * rule.V;
  plain_rule_token token = {.q = rows, .k = rows + rule.K, .v = rows + 2 * rule.K};
  float* delta = token.v + rule.V;
  const int pooled = plain_present(&a->state);
  const packproof_tensor* initial = pooled ? &a->state : &a->initial_state;
  const packproof_tensor* final = pooled ? &a->state : &a->final_state;
  plain_fill_boundaries(&a->packing, a->q.shape[1], boundaries);
  for (int64_t n = 0; n < a->packing.num_seqs; ++n) {
    const int64_t slot = plain_slot(&a->state_indices, n);
    const int load = plain_present(initial) && slot >= 0;
    const int store = plain_present(final) && slot >= 0;
    for (int64_t head = 0; head < rule.value_heads; ++head) {
      for (int64_t i = 0; i < rule.K * rule.V; ++i) state[i] = 0.0f;
      for (int64_t i = 0; load && i < rule.K; ++i) {
        plain_load_run(initial, plain_at3(initial, slot, head, i), 3, rule.V, state + i * rule.V);
      }
      for (int64_t row = boundaries[n]; row < boundaries[n + 1]; ++row) {
        plain_rule_load(&rule, row, head, &token);
        step(&rule, &token, state, delta);
        plain_store_run(&a->output, plain_rule_offset(&rule, &a->output, row, head), 3, rule.V,
                        delta);
      }
      for (int64_t i = 0; store && i < rule.K; ++i) {
        plain_store_run(final, plain_at3(final, slot, head, i), 3, rule.V, state + i * rule.V);
      }
    }
  }
}

static plain_rule rule_of_update(const UpdateArgs* a) {
  plain_rule rule = {.q = &a->q,
                     .k = &a->k,
                     .v = &a->v,
                     .g = &a->g,
                     .a = &a->a,
                     .A_log = &a->A_log,
                     .dt_bias = &a->dt_bias,
                     .beta = &a->beta,
                     .qk_l2norm = a->qk_l2norm,
                     .leading = 1};
  plain_rule_complete(&rule, a->scale);
  return rule;
}

static plain_check examine_update(const void* arguments) {
  const UpdateArgs* a = arguments;
  plain_check check = plain_check_of("gated_delta_rule_update", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "q", &a->q, 3) || !plain_check_leading(&check, "v", &a->v, 3)) {
    return check;
  }
  if (a->state.rank != 4) {
    plain_refuse(&check, "expected state of rank 4, found rank %d", a->state.rank);
    return check;
  }
  const plain_rule rule = rule_of_update(a);
  plain_rule_check(&check, &rule);
  const int32_t dtype = a->q.dtype, f32 = PACKPROOF_F32;
  const int64_t N = a->q.shape[0], S = a->state.shape[0];
  const int64_t Hk = rule.key_heads, Hv = rule.value_heads, K = rule.K, V = rule.V;
  const plain_operand operands[] = {
      {"q", &a->q, PLAIN_INPUT, dtype, 3, {N, Hk, K}},
      {"k", &a->k, PLAIN_INPUT, dtype, 3, {N, Hk, K}},
      {"v", &a->v, PLAIN_INPUT, dtype, 3, {N, Hv, V}},
      {"g", &a->g, PLAIN_OPTIONAL, f32, 2, {N, Hv}},
      {"a", &a->a, PLAIN_OPTIONAL, dtype, 2, {N, Hv}},
      {"A_log", &a->A_log, PLAIN_OPTIONAL, f32, 1, {Hv}},
      {"dt_bias", &a->dt_bias, PLAIN_OPTIONAL, f32, 1, {Hv}},
      {"beta", &a->beta, PLAIN_INPUT, dtype, 2, {N, Hv}},
      {"state_indices", &a->state_indices, PLAIN_OPTIONAL, PACKPROOF_I32, 1, {N}},
      {"state", &a->state, PLAIN_OUTPUT, f32, 4, {S, Hv, K, V}},
      {"output", &a->output, PLAIN_OUTPUT, dtype, 3, {N, Hv, V}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  plain_check_slots(&check, &a->state_indices, N, S);
  return check;
}

/* As forward without boundaries. */
static size_t gated_delta_rule_update_workspace(const void* arguments) {
  const UpdateArgs* a = arguments;
  const int64_t K = a->q.shape[2], V = a->v.shape[2];
  return (size_t)(K * V + 2 * K + 2 * V) * sizeof(float);
}

static void gated_delta_rule_update(const void* arguments, void* workspace) {
  const UpdateArgs* a = arguments;
  const plain_rule rule = rule_of_update(a);
  float* state = workspace;
  float* rows = state + rule.K * rule.V;
  plain_rule_token token = {.q = rows, .k = rows + rule.K, .v = rows + 2 * rule.K};
  float* delta = token.v + rule.V;
  for (int64_t n = 0; n < a->q.shape[0]; ++n) {
    const int64_t slot = plain_slot(&a->state_indices, n);
    for (int64_t head = 0; head < rule.value_heads; ++head) {
      const int64_t output = plain_rule_offset(&rule, &a->output, n, head);
      if (slot < 0) {
        for (int64_t j = 0; j < rule.V; ++j) delta[j] = 0.0f;
        plain_store_run(&a->output, output, 2, rule.V, delta);
        continue;
      }
      for (int64_t i = 0; i < rule.K; ++i) {
        plain_load_run(&a->state, plain_at3(&a->state, slot, head, i), 3, rule.V,
                       state + i * rule.V);
      }
      plain_rule_load(&rule, n, head, &token);
      step(&rule, &token, state, delta);
      plain_store_run(&a->output, output, 2, rule.V, delta);
      for (int64_t i = 0; i < rule.K; ++i) {
        plain_store_run(&a->state, plain_at3(&a->state, slot, head, i), 3, rule.V,
                        state + i * rule.V);
      }
    }
  }
}

const plain_row plain_gated_delta_rule_fwd = {examine, gated_delta_rule_fwd_workspace,
                                              gated_delta_rule_fwd};
const plain_row plain_gated_delta_rule_update = {examine_update, gated_delta_rule_update_workspace,
                                                 gated_delta_rule_update};
