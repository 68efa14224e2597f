/* The gates of the delta rule (spec 2.5 step 5) and their gradients (spec 3.5):
 *   g = -exp(A_log) softplus(a + dt_bias)    beta = sigma(b)
 *   da = ddt_bias = -dg exp(A_log) sigma(a + dt_bias), dA_log = dg g, db = dbeta beta (1 - beta)
 * dA_log and ddt_bias are summed over the rows in order. */
#include "kernels/plain/argument_check.h"
#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/scalar_functions.h"
#include "kernels/plain/tensor_access.h"

typedef packproof_delta_rule_gate_fwd_args ForwardArgs;
typedef packproof_delta_rule_gate_bwd_args BackwardArgs;

static plain_check examine_fwd(const void* arguments) {
  const ForwardArgs* a = arguments;
  plain_check check = plain_check_of("delta_rule_gate", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "a", &a->a, 2)) return check;
  const int32_t dtype = a->a.dtype, f32 = PACKPROOF_F32;
  const int64_t R = a->a.shape[0], Hv = a->a.shape[1];
  const plain_operand operands[] = {
      {"a", &a->a, PLAIN_INPUT, dtype, 2, {R, Hv}},
      {"b", &a->b, PLAIN_INPUT, dtype, 2, {R, Hv}},
      {"A_log", &a->A_log, PLAIN_INPUT, f32, 1, {Hv}},
      {"dt_bias", &a->dt_bias, PLAIN_INPUT, f32, 1, {Hv}},
      {"g", &a->g, PLAIN_OUTPUT, f32, 2, {R, Hv}},
      {"beta", &a->beta, PLAIN_OUTPUT, dtype, 2, {R, Hv}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  return check;
}

static plain_check examine_bwd(const void* arguments) {
  const BackwardArgs* a = arguments;
  plain_check check = plain_check_of("delta_rule_gate backward", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "a", &a->a, 2)) return check;
  const int gradient = PLAIN_OUTPUT | PLAIN_OPTIONAL;
  const int32_t dtype = a->a.dtype, f32 = PACKPROOF_F32;
  const int64_t R = a->a.shape[0], Hv = a->a.shape[1];
  const plain_operand operands[] = {
      {"a", &a->a, PLAIN_INPUT, dtype, 2, {R, Hv}},
      {"b", &a->b, PLAIN_INPUT, dtype, 2, {R, Hv}},
      {"A_log", &a->A_log, PLAIN_INPUT, f32, 1, {Hv}},
      {"dt_bias", &a->dt_bias, PLAIN_INPUT, f32, 1, {Hv}},
      {"d_g", &a->d_g, PLAIN_INPUT, f32, 2, {R, Hv}},
      {"d_beta", &a->d_beta, PLAIN_INPUT, dtype, 2, {R, Hv}},
      {"d_a", &a->d_a, gradient, dtype, 2, {R, Hv}},
      {"d_b", &a->d_b, gradient, dtype, 2, {R, Hv}},
      {"d_A_log", &a->d_A_log, gradient, f32, 1, {Hv}},
      {"d_dt_bias", &a->d_dt_bias, gradient, f32, 1, {Hv}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  return check;
}

static void delta_rule_gate_fwd(const void* arguments, void* workspace) {
  const ForwardArgs* a = arguments;
  (void)workspace;
  for (int64_t head = 0; head < a->a.shape[1]; ++head) {
    const float rate = expf(plain_load(&a->A_log, head * a->A_log.stride[0]));
    const float dt_bias = plain_load(&a->dt_bias, head * a->dt_bias.stride[0]);
    for (int64_t row = 0; row < a->a.shape[0]; ++row) {
      const float x = plain_load(&a->a, plain_at(&a->a, row, head)) + dt_bias;
      plain_store(&a->g, plain_at(&a->g, row, head), -rate * plain_softplus(x));
      plain_store(&a->beta, plain_at(&a->beta, row, head),
                  plain_sigmoid(plain_load(&a->b, plain_at(&a->b, row, head))));
    }
  }
}

static void delta_rule_gate_bwd(const void* arguments, void* workspace) {
  const BackwardArgs* a = arguments;
  (void)workspace;
  for (int64_t head = 0; head < a->a.shape[1]; ++head) {
    const float rate = expf(plain_load(&a->A_log, head * a->A_log.stride[0]));
    const float dt_bias = plain_load(&a->dt_bias, head * a->dt_bias.stride[0]);
    float d_A_log = 0.0f, d_dt_bias = 0.0f;
    for (int64_t row = 0; row < a->a.shape[0]; ++row) {
      const float x = plain_load(&a->a, plain_at(&a->a, row, head)) + dt_bias;
      const float b = plain_load(&a->b, plain_at(&a->b, row, head));
      const float d_g = plain_load(&a->d_g, plain_at(&a->d_g, row, head));
      const float d_beta = plain_load(&a->d_beta, plain_at(&a->d_beta, row, head));
      const float d_a = -d_g * rate * plain_sigmoid(x);
      d_A_log += d_g * (-rate * plain_softplus(x));
      d_dt_bias += d_a;
      if (plain_present(&a->d_a)) plain_store(&a->d_a, plain_at(&a->d_a, row, head), d_a);
      if (plain_present(&a->d_b)) {
        plain_store(&a->d_b, plain_at(&a->d_b, row, head),
                    d_beta * plain_sigmoid(b) * plain_sigmoid(-b));
      }
    }
    if (plain_present(&a->d_A_log)) {
      plain_store(&a->d_A_log, head * a->d_A_log.stride[0], d_A_log);
    }
    if (plain_present(&a->d_dt_bias)) {
      plain_store(&a->d_dt_bias, head * a->d_dt_bias.stride[0], d_dt_bias);
    }
  }
}

const plain_row plain_delta_rule_gate_fwd = {examine_fwd, NULL, delta_rule_gate_fwd};
const plain_row plain_delta_rule_gate_bwd = {examine_bwd, NULL, delta_rule_gate_bwd};
