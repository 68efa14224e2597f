/* The steps of one token (spec 3.1: decay, predict, correct, read), with the gate (spec 2.5 step 5)
 * and the l2norm (spec 2.2) of calls that leave them to the op. */
#include "kernels/plain/gated_delta_rule.h"
#include "kernels/plain/scalar_functions.h"
#include "kernels/plain/tensor_access.h"

/* The model's (spec 2.2), whatever rms_norm_eps is. */
static const float kL2NormEps = 1e-6f;

void plain_rule_check(plain_check* check, const plain_rule* rule) {
  const int64_t key_heads = rule->q->shape[rule->leading];
  const int64_t value_heads = rule->v->shape[rule->leading];
  if (check->status != PACKPROOF_OK) return;
  if (key_heads < 1 || value_heads < 1 || value_heads % key_heads != 0) {
    plain_refuse(check, "expected value heads in multiples of the key heads, found %lld and %lld",
                 (long long)value_heads, (long long)key_heads);
  }
  if (plain_present(rule->g) == plain_present(rule->a)) {
    plain_refuse(check, "expected either g or a with A_log and dt_bias, found %s",
                 plain_present(rule->g) ? "both" : "neither");
  }
  if (plain_present(rule->A_log) != plain_present(rule->a) ||
      plain_present(rule->dt_bias) != plain_present(rule->a)) {
    plain_refuse(check, "expected A_log and dt_bias exactly beside a, found %s A_log, %s dt_bias",
                 plain_present(rule->A_log) ? "an" : "no",
                 plain_present(rule->dt_bias) ? "a" : "no");
  }
}

void plain_rule_complete(plain_rule* rule, float scale) {
  rule->key_heads = rule->q->shape[rule->leading];
  rule->K = rule->q->shape[rule->leading + 1];
  rule->value_heads = rule->v->shape[rule->leading];
  rule->V = rule->v->shape[rule->leading + 1];
  rule->scale = scale != 0.0f ? scale : 1.0f / sqrtf((float)rule->K);
}

int64_t plain_rule_offset(const plain_rule* rule, const packproof_tensor* tensor, int64_t row,
                          int64_t head) {
  const int64_t begin = rule->leading == 2 ? plain_token(tensor, row) : row * tensor->stride[0];
  return begin + head * tensor->stride[rule->leading];
}

/* x <- x (sum x^2 + eps)^-1/2; returns the factor. */
static float normalise(float* x, int64_t count) {
  const float factor = 1.0f / sqrtf(plain_dot(x, x, count) + kL2NormEps);
  for (int64_t i = 0; i < count; ++i) x[i] *= factor;
  return factor;
}

static float log_decay(const plain_rule* rule, int64_t row, int64_t head) {
  if (plain_present(rule->g)) {
    return plain_load(rule->g, plain_rule_offset(rule, rule->g, row, head));
  }
  const float a = plain_load(rule->a, plain_rule_offset(rule, rule->a, row, head));
  const float A_log = plain_load(rule->A_log, head * rule->A_log->stride[0]);
  const float dt_bias = plain_load(rule->dt_bias, head * rule->dt_bias->stride[0]);
  return -expf(A_log) * plain_softplus(a + dt_bias);
}

void plain_rule_load(const plain_rule* rule, int64_t row, int64_t value_head,
                     plain_rule_token* token) {
  const int64_t key_head = value_head / (rule->value_heads / rule->key_heads);
  const int axis = rule->leading + 1;
  plain_load_run(rule->q, plain_rule_offset(rule, rule->q, row, key_head), axis, rule->K, token->q);
  plain_load_run(rule->k, plain_rule_offset(rule, rule->k, row, key_head), axis, rule->K, token->k);
  plain_load_run(rule->v, plain_rule_offset(rule, rule->v, row, value_head), axis, rule->V,
                 token->v);
  token->q_scale = rule->qk_l2norm ? normalise(token->q, rule->K) : 1.0f;
  token->k_scale = rule->qk_l2norm ? normalise(token->k, rule->K) : 1.0f;
  token->g = log_decay(rule, row, value_head);
  token->beta = plain_load(rule->beta, plain_rule_offset(rule, rule->beta, row, value_head));
}

void plain_rule_decay(const plain_rule* rule, const plain_rule_token* token, float* state) {
  const float decay = expf(token->g);
  for (int64_t i = 0; i < rule->K * rule->V; ++i) state[i] *= decay;
}

void plain_rule_correct(const plain_rule* rule, const plain_rule_token* token, const float* state,
                        float* delta) {
  for (int64_t j = 0; j < rule->V; ++j) delta[j] = 0.0f;
  for (int64_t i = 0; i < rule->K; ++i) {
    for (int64_t j = 0; j < rule->V; ++j) delta[j] += state[i * rule->V + j] * token->k[i];
  }
  for (int64_t j = 0; j < rule->V; ++j) delta[j] = token->beta * (token->v[j] - delta[j]);
}

void plain_rule_write(const plain_rule* rule, const plain_rule_token* token, const float* delta,
                      float* state) {
  for (int64_t i = 0; i < rule->K; ++i) {
    for (int64_t j = 0; j < rule->V; ++j) state[i * rule->V + j] += token->k[i] * delta[j];
  }
}
