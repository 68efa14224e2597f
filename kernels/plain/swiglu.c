/* SwiGLU of the feed-forward (spec 2.6) and its gradients:
 *   y = silu(gate) up    dgate = dy up silu'(gate)    dup = dy silu(gate) */
#include "kernels/plain/argument_check.h"
#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/scalar_functions.h"
#include "kernels/plain/tensor_access.h"

typedef packproof_swiglu_fwd_args ForwardArgs;
typedef packproof_swiglu_bwd_args BackwardArgs;

static plain_check examine_fwd(const ForwardArgs* a) {
  plain_check check = plain_check_of("swiglu", a->struct_size, sizeof *a);
  if (check.status != PACKPROOF_OK || !plain_check_leading(&check, "gate", &a->gate, 2))
    return check;
  const int64_t R = a->gate.shape[0], D = a->gate.shape[1];
  const plain_operand operands[] = {
      {"gate", &a->gate, PLAIN_INPUT, a->gate.dtype, 2, {R, D}},
      {"up", &a->up, PLAIN_INPUT, a->gate.dtype, 2, {R, D}},
      {"output", &a->output, PLAIN_OUTPUT, a->gate.dtype, 2, {R, D}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  return check;
}

static plain_check examine_bwd(const BackwardArgs* a) {
  plain_check check = plain_check_of("swiglu backward", a->struct_size, sizeof *a);
  if (check.status != PACKPROOF_OK || !plain_check_leading(&check, "gate", &a->gate, 2))
    return check;
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

const char* plain_swiglu_fwd_unsupported(const void* arguments, int32_t sm) {
  (void)sm;
  return examine_fwd(arguments).unsupported;
}

const char* plain_swiglu_bwd_unsupported(const void* arguments, int32_t sm) {
  (void)sm;
  return examine_bwd(arguments).unsupported;
}

packproof_status plain_swiglu_fwd(const void* arguments, void* workspace, size_t workspace_bytes,
                                  void* stream, packproof_message* message) {
  const ForwardArgs* a = arguments;
  const plain_check check = examine_fwd(a);
  (void)workspace, (void)workspace_bytes, (void)stream;
  if (check.status != PACKPROOF_OK) return plain_report(&check, message);
  for (int64_t row = 0; row < a->gate.shape[0]; ++row) {
    for (int64_t i = 0; i < a->gate.shape[1]; ++i) {
      const float gate = plain_load(&a->gate, plain_at(&a->gate, row, i));
      const float up = plain_load(&a->up, plain_at(&a->up, row, i));
      plain_store(&a->output, plain_at(&a->output, row, i), plain_silu(gate) * up);
    }
  }
  return PACKPROOF_OK;
}

packproof_status plain_swiglu_bwd(const void* arguments, void* workspace, size_t workspace_bytes,
                                  void* stream, packproof_message* message) {
  const BackwardArgs* a = arguments;
  const plain_check check = examine_bwd(a);
  (void)workspace, (void)workspace_bytes, (void)stream;
  if (check.status != PACKPROOF_OK) return plain_report(&check, message);
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
  return PACKPROOF_OK;
}
