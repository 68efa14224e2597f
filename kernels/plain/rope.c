/* Half-split rotary embedding of the first rotary_dim components (spec 2.4 step 3), one row of
 * positions (equal to M-RoPE for text): with angle = position theta^(-2i / rotary_dim) in f32,
 *   (y_i, y_{i+half}) = (x_i cos - x_{i+half} sin, x_{i+half} cos + x_i sin), the rest passes.
 * The gradient of a rotation is the rotation back. */
#include "kernels/plain/argument_check.h"
#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/tensor_access.h"

#include <math.h>

typedef packproof_rope_fwd_args ForwardArgs;
typedef packproof_rope_bwd_args BackwardArgs;

static void check_rope(plain_check* check, const plain_operand* operands, const int64_t* shape,
                       double theta, int32_t rotary_dim) {
  plain_check_operands(check, operands, 3);
  if (rotary_dim < 0 || rotary_dim % 2 != 0 || rotary_dim > shape[3]) {
    plain_refuse(check, "expected an even rotary_dim within the head of %lld, found %d",
                 (long long)shape[3], rotary_dim);
  }
  if (!(theta > 0.0)) plain_refuse(check, "expected theta above 0, found %g", theta);
}

static plain_check examine_fwd(const void* arguments) {
  const ForwardArgs* a = arguments;
  plain_check check = plain_check_of("rope", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 4)) return check;
  const int64_t* s = a->x.shape;
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, a->x.dtype, 4, {s[0], s[1], s[2], s[3]}},
      {"position_ids", &a->position_ids, PLAIN_INPUT, PACKPROOF_I64, 2, {s[0], s[1]}},
      {"output", &a->output, PLAIN_OUTPUT, a->x.dtype, 4, {s[0], s[1], s[2], s[3]}},
  };
  check_rope(&check, operands, s, a->theta, a->rotary_dim);
  return check;
}

static plain_check examine_bwd(const void* arguments) {
  const BackwardArgs* a = arguments;
  plain_check check = plain_check_of("rope backward", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "d_output", &a->d_output, 4)) {
    return check;
  }
  const int64_t* s = a->d_output.shape;
  const plain_operand operands[] = {
      {"d_output", &a->d_output, PLAIN_INPUT, a->d_output.dtype, 4, {s[0], s[1], s[2], s[3]}},
      {"position_ids", &a->position_ids, PLAIN_INPUT, PACKPROOF_I64, 2, {s[0], s[1]}},
      {"d_x", &a->d_x, PLAIN_OUTPUT, a->d_output.dtype, 4, {s[0], s[1], s[2], s[3]}},
  };
  check_rope(&check, operands, s, a->theta, a->rotary_dim);
  return check;
}

/* Row by row; `turn` is 1 forwards and -1 backwards. */
static void rotate(const packproof_tensor* from, const packproof_tensor* to,
                   const packproof_tensor* position_ids, double theta, int64_t rotary_dim,
                   float turn) {
  const int64_t rows = from->shape[0] * from->shape[1], half = rotary_dim / 2;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t position = ((const int64_t*)position_ids->data)[plain_token(position_ids, row)];
    for (int64_t i = 0; i < half; ++i) {
      const float exponent = -2.0f * (float)i / (float)rotary_dim;
      const float angle = (float)position * powf((float)theta, exponent);
      const float cosine = cosf(angle), sine = turn * sinf(angle);
      for (int64_t head = 0; head < from->shape[2]; ++head) {
        const int64_t source = plain_token_at(from, row, head) + i * from->stride[3];
        const int64_t target = plain_token_at(to, row, head) + i * to->stride[3];
        const float x1 = plain_load(from, source);
        const float x2 = plain_load(from, source + half * from->stride[3]);
        plain_store(to, target, x1 * cosine - x2 * sine);
        plain_store(to, target + half * to->stride[3], x2 * cosine + x1 * sine);
      }
    }
    for (int64_t head = 0; head < from->shape[2]; ++head) {
      const int64_t source = plain_token_at(from, row, head);
      const int64_t target = plain_token_at(to, row, head);
      for (int64_t i = rotary_dim; i < from->shape[3]; ++i) {
        plain_store(to, target + i * to->stride[3], plain_load(from, source + i * from->stride[3]));
      }
    }
  }
}

static void rope_fwd(const void* arguments, void* workspace) {
  const ForwardArgs* a = arguments;
  (void)workspace;
  rotate(&a->x, &a->output, &a->position_ids, a->theta, a->rotary_dim, 1.0f);
}

static void rope_bwd(const void* arguments, void* workspace) {
  const BackwardArgs* a = arguments;
  (void)workspace;
  rotate(&a->d_output, &a->d_x, &a->position_ids, a->theta, a->rotary_dim, -1.0f);
}

const plain_row plain_rope_fwd = {examine_fwd, NULL, rope_fwd};
const plain_row plain_rope_bwd = {examine_bwd, NULL, rope_bwd};
