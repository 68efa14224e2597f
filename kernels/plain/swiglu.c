/* SwiGLU of the feed-forward (spec 2.6) and its gradients:
 *   y = silu(gate) up    dgate = dy up silu'(gate)    dup = dy silu(gate) */
#include "kernels/plain/argument_check.h"
#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/scalar_functions.h"
#include "kernels/plain/tensor_access.h"

typedef packproof_swiglu_fwd_args ForwardArgs;
typedef packproof_swiglu_bwd_args BackwardArgs;

static plain_check examine_fwd(const void* arguments) {
  const ForwardArgs* a = arguments;
  plain_check check = plain_check_of("swiglu", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "gate", &a->gate, 2)) return check;
  const int64_t R = a->gate.shape[0], D = a->gate.shape[1];
  const plain_operand operands[] = {
      {"gate", &a->gate, PLAIN_INPUT, a->gate.dtype, 2, {R, D}},
      {"up", &a->up, PLAIN_INPUT, a->gate.dtype, 2, {R, D}},
      {"output", &a->output, PLAIN_OUTPUT, a->gate.dtype, 2, {R, D}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  return check;
}

static plain_check examine_bwd(const void* arguments) {
  const BackwardArgs* a = arguments;
  plain_check check = plain_check_of("swiglu backward", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "gate", &a->gate, 2)) return check;
  const int64_t R = a->gate.shape[0], D = a->gate.shape[1];
  const plain_operand operands[] = {
      {"gate", &a->gate, PLAIN_INPUT, a->gate.dtype, 2, {R, D}},
      {"up", &a->up, PLAIN_INPUT, a->gate.dtype, 2, {R, D}},
      {"d_output", &a->d_output, PLAIN_INPUT, a->gate.dtype, 2, {R, D}},
      {"d_gate", &a->d_gate, PLAIN_OUTPUT | PLAIN_OPTIONAL, a->gate.dtype, 2, {R, D}},
      {"d_up", &a->d_up, PLAIN_OUTPUT | PLAIN_OPTIONAL, a->gate.dtype, 2, {R, D}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  return check;
}

static void swiglu_fwd(const void* arguments, void* workspace) {
  const ForwardArgs* a = arguments;
  (void)workspace;
  for (int64_t row = 0; row < a->gate.shape[0]; ++row) {
    for (int64_t i = 0; i < a->gate.shape[1]; ++i) {
      const float gate = plain_load(&a->gate, plain_at(&a->gate, row, i));
      const float up = plain_load(&a->up, plain_at(&a->up, row, i));
      plain_store(&a->output, plain_at(&a->output, row, i), plain_silu(gate) * up);
    }
  }
}

static void swiglu_bwd(const void* arguments, void* workspace) {
  const BackwardArgs* a = arguments;
  (void)workspace;
  for (int64_t row = 0; row < a->gate.shape[0]; ++row) {
    for (int64_t i = 0; i < a->gate.shape[1]; ++i) {
      const float gate = plain_load(&a->gate, plain_at(&a->gate, row, i));
      const float up = plain_load(&a->up, plain_at(&a->up, row, i));
      const float d_y = plain_load(&a->d_output, plain_at(&a->d_output, row, i));
      if (plain_present(&a->d_gate)) {
        plain_store(&a->d_gate, plain_at(&a->d_gate, row, i), d_y * up * plain_silu_slope(gate));
      }
      if (plain_present(&a->d_up)) {
        plain_store(&a->d_up, plain_at(&a->d_up, row, i), d_y * plain_silu(gate));
      }
    }
  }
}

const plain_row plain_swiglu_fwd = {examine_fwd, NULL, swiglu_fwd};
const plain_row plain_swiglu_bwd = {examine_bwd, NULL, swiglu_bwd};
