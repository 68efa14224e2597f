/* The output gate of attention (spec 2.4 step 5) and its gradients (spec 3.5):
 *   y = x sigma(gate)    dx = dy sigma(gate)    dgate = dy x sigma(gate) (1 - sigma(gate)) */
#include "kernels/plain/argument_check.h"
#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/scalar_functions.h"
#include "kernels/plain/tensor_access.h"

typedef packproof_output_gate_fwd_args ForwardArgs;
typedef packproof_output_gate_bwd_args BackwardArgs;

static plain_check examine_fwd(const void* arguments) {
  const ForwardArgs* a = arguments;
  plain_check check = plain_check_of("output_gate", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 2)) return check;
  const int64_t R = a->x.shape[0], D = a->x.shape[1];
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, a->x.dtype, 2, {R, D}},
      {"gate", &a->gate, PLAIN_INPUT, a->x.dtype, 2, {R, D}},
      {"output", &a->output, PLAIN_OUTPUT, a->x.dtype, 2, {R, D}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  return check;
}

static plain_check examine_bwd(const void* arguments) {
  const BackwardArgs* a = arguments;
  plain_check check = plain_check_of("output_gate backward", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 2)) return check;
  const int64_t R = a->x.shape[0], D = a->x.shape[1];
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, a->x.dtype, 2, {R, D}},
      {"gate", &a->gate, PLAIN_INPUT, a->x.dtype, 2, {R, D}},
      {"d_output", &a->d_output, PLAIN_INPUT, a->x.dtype, 2, {R, D}},
      {"d_x", &a->d_x, PLAIN_OUTPUT | PLAIN_OPTIONAL, a->x.dtype, 2, {R, D}},
      {"d_gate", &a->d_gate, PLAIN_OUTPUT | PLAIN_OPTIONAL, a->x.dtype, 2, {R, D}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  return check;
}

static void output_gate_fwd(const void* arguments, void* workspace) {
  const ForwardArgs* a = arguments;
  (void)workspace;
  for (int64_t row = 0; row < a->x.shape[0]; ++row) {
    for (int64_t i = 0; i < a->x.shape[1]; ++i) {
      const float x = plain_load(&a->x, plain_at(&a->x, row, i));
      const float gate = plain_load(&a->gate, plain_at(&a->gate, row, i));
      plain_store(&a->output, plain_at(&a->output, row, i), x * plain_sigmoid(gate));
    }
  }
}

static void output_gate_bwd(const void* arguments, void* workspace) {
  const BackwardArgs* a = arguments;
  (void)workspace;
  for (int64_t row = 0; row < a->x.shape[0]; ++row) {
    for (int64_t i = 0; i < a->x.shape[1]; ++i) {
      const float x = plain_load(&a->x, plain_at(&a->x, row, i));
      const float gate = plain_load(&a->gate, plain_at(&a->gate, row, i));
      const float d_y = plain_load(&a->d_output, plain_at(&a->d_output, row, i));
      const float open = plain_sigmoid(gate);
      if (plain_present(&a->d_x)) plain_store(&a->d_x, plain_at(&a->d_x, row, i), d_y * open);
      if (plain_present(&a->d_gate)) {
        plain_store(&a->d_gate, plain_at(&a->d_gate, row, i),
                    d_y * x * open * plain_sigmoid(-gate));
      }
    }
  }
}

const plain_row plain_output_gate_fwd = {examine_fwd, NULL, output_gate_fwd};
const plain_row plain_output_gate_bwd = {examine_bwd, NULL, output_gate_bwd};
