/* The three norms (spec 2.2) and their gradients (spec 3.5), row by row, r = (mean x^2 + eps)^-1/2:
 *   rms_norm        y = x r (1 + w)          u = dy (1 + w)
 *   gated_rms_norm  y = w x r silu(z)        u = dy w silu(z), dz = dy w x r silu'(z)
 *                   dx = r (u - xh mean(u xh)) with xh = x r; dw = sum over rows of dy dy/dw
 *   l2norm          y = x (sum x^2 + eps)^-1/2, dx = r (dy - y (y.dy))
 * Weight gradients are summed over the rows in order. */
#include "kernels/plain/argument_check.h"
#include "kernels/plain/kernel_rows.h"
#include "kernels/plain/scalar_functions.h"
#include "kernels/plain/tensor_access.h"

#include <string.h>

typedef packproof_gated_rms_norm_fwd_args GatedForward;
typedef packproof_gated_rms_norm_bwd_args GatedBackward;
typedef packproof_rms_norm_fwd_args RmsForward;
typedef packproof_rms_norm_bwd_args RmsBackward;
typedef packproof_l2norm_fwd_args L2Forward;
typedef packproof_l2norm_bwd_args L2Backward;

static float sum_of_squares(const packproof_tensor* x, int64_t row) {
  float sum = 0.0f;
  for (int64_t i = 0; i < x->shape[1]; ++i) {
    const float value = plain_load(x, plain_at(x, row, i));
    sum += value * value;
  }
  return sum;
}

static float inverse_rms(const packproof_tensor* x, int64_t row, float eps) {
  return 1.0f / sqrtf(sum_of_squares(x, row) / (float)x->shape[1] + eps);
}

static void check_eps(plain_check* check, float eps) {
  if (!(eps >= 0.0f)) plain_refuse(check, "expected eps of at least 0, found %g", (double)eps);
}

static plain_check examine_gated_fwd(const void* arguments) {
  const GatedForward* a = arguments;
  plain_check check = plain_check_of("gated_rms_norm", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 2)) return check;
  const int32_t dtype = a->x.dtype;
  const int64_t R = a->x.shape[0], D = a->x.shape[1];
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, dtype, 2, {R, D}},
      {"z", &a->z, PLAIN_INPUT, dtype, 2, {R, D}},
      {"weight", &a->weight, PLAIN_INPUT, dtype, 1, {D}},
      {"output", &a->output, PLAIN_OUTPUT, dtype, 2, {R, D}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  check_eps(&check, a->eps);
  return check;
}

static plain_check examine_gated_bwd(const void* arguments) {
  const GatedBackward* a = arguments;
  plain_check check = plain_check_of("gated_rms_norm backward", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 2)) return check;
  const int32_t dtype = a->x.dtype;
  const int gradient = PLAIN_OUTPUT | PLAIN_OPTIONAL;
  const int64_t R = a->x.shape[0], D = a->x.shape[1];
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, dtype, 2, {R, D}},
      {"z", &a->z, PLAIN_INPUT, dtype, 2, {R, D}},
      {"weight", &a->weight, PLAIN_INPUT, dtype, 1, {D}},
      {"d_output", &a->d_output, PLAIN_INPUT, dtype, 2, {R, D}},
      {"d_x", &a->d_x, gradient, dtype, 2, {R, D}},
      {"d_z", &a->d_z, gradient, dtype, 2, {R, D}},
      {"d_weight", &a->d_weight, gradient, dtype, 1, {D}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  check_eps(&check, a->eps);
  return check;
}

static plain_check examine_rms_fwd(const void* arguments) {
  const RmsForward* a = arguments;
  plain_check check = plain_check_of("rms_norm", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 2)) return check;
  const int32_t dtype = a->x.dtype;
  const int64_t R = a->x.shape[0], D = a->x.shape[1];
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, dtype, 2, {R, D}},
      {"weight", &a->weight, PLAIN_INPUT, dtype, 1, {D}},
      {"output", &a->output, PLAIN_OUTPUT, dtype, 2, {R, D}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  check_eps(&check, a->eps);
  return check;
}

static plain_check examine_rms_bwd(const void* arguments) {
  const RmsBackward* a = arguments;
  plain_check check = plain_check_of("rms_norm backward", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 2)) return check;
  const int32_t dtype = a->x.dtype;
  const int gradient = PLAIN_OUTPUT | PLAIN_OPTIONAL;
  const int64_t R = a->x.shape[0], D = a->x.shape[1];
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, dtype, 2, {R, D}},
      {"weight", &a->weight, PLAIN_INPUT, dtype, 1, {D}},
      {"d_output", &a->d_output, PLAIN_INPUT, dtype, 2, {R, D}},
      {"d_x", &a->d_x, gradient, dtype, 2, {R, D}},
      {"d_weight", &a->d_weight, gradient, dtype, 1, {D}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  check_eps(&check, a->eps);
  return check;
}

static plain_check examine_l2_fwd(const void* arguments) {
  const L2Forward* a = arguments;
  plain_check check = plain_check_of("l2norm", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 2)) return check;
  const int64_t R = a->x.shape[0], D = a->x.shape[1];
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, a->x.dtype, 2, {R, D}},
      {"output", &a->output, PLAIN_OUTPUT, a->x.dtype, 2, {R, D}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  check_eps(&check, a->eps);
  return check;
}

static plain_check examine_l2_bwd(const void* arguments) {
  const L2Backward* a = arguments;
  plain_check check = plain_check_of("l2norm backward", a->struct_size, sizeof *a);
  if (!plain_check_leading(&check, "x", &a->x, 2)) return check;
  const int64_t R = a->x.shape[0], D = a->x.shape[1];
  const plain_operand operands[] = {
      {"x", &a->x, PLAIN_INPUT, a->x.dtype, 2, {R, D}},
      {"d_output", &a->d_output, PLAIN_INPUT, a->x.dtype, 2, {R, D}},
      {"d_x", &a->d_x, PLAIN_OUTPUT, a->x.dtype, 2, {R, D}},
  };
  plain_check_operands(&check, operands, sizeof operands / sizeof *operands);
  check_eps(&check, a->eps);
  return check;
}

/* The sums of d_weight. */
static size_t gated_rms_norm_bwd_workspace(const void* arguments) {
  return (size_t)((const GatedBackward*)arguments)->x.shape[1] * sizeof(float);
}

static size_t rms_norm_bwd_workspace(const void* arguments) {
  return (size_t)((const RmsBackward*)arguments)->x.shape[1] * sizeof(float);
}

static void gated_rms_norm_fwd(const void* arguments, void* workspace) {
  const GatedForward* a = arguments;
  (void)workspace;
  for (int64_t row = 0; row < a->x.shape[0]; ++row) {
    const float r = inverse_rms(&a->x, row, a->eps);
    for (int64_t i = 0; i < a->x.shape[1]; ++i) {
      const float xh = plain_load(&a->x, plain_at(&a->x, row, i)) * r;
      const float z = plain_load(&a->z, plain_at(&a->z, row, i));
      const float weight = plain_load(&a->weight, i * a->weight.stride[0]);
      plain_store(&a->output, plain_at(&a->output, row, i), weight * xh * plain_silu(z));
    }
  }
}

static void gated_rms_norm_bwd(const void* arguments, void* workspace) {
  const GatedBackward* a = arguments;
  const int64_t R = a->x.shape[0], D = a->x.shape[1];
  float* d_weight = workspace;
  memset(d_weight, 0, (size_t)D * sizeof(float));
  for (int64_t row = 0; row < R; ++row) {
    const float r = inverse_rms(&a->x, row, a->eps);
    float projection = 0.0f;
    for (int64_t i = 0; i < D; ++i) {
      const float d_y = plain_load(&a->d_output, plain_at(&a->d_output, row, i));
      const float xh = plain_load(&a->x, plain_at(&a->x, row, i)) * r;
      const float z = plain_load(&a->z, plain_at(&a->z, row, i));
      const float weight = plain_load(&a->weight, i * a->weight.stride[0]);
      projection += d_y * weight * plain_silu(z) * xh;
      d_weight[i] += d_y * xh * plain_silu(z);
      if (plain_present(&a->d_z)) {
        plain_store(&a->d_z, plain_at(&a->d_z, row, i), d_y * weight * xh * plain_silu_slope(z));
      }
    }
    const float mean = projection / (float)D;
    for (int64_t i = 0; plain_present(&a->d_x) && i < D; ++i) {
      const float xh = plain_load(&a->x, plain_at(&a->x, row, i)) * r;
      const float u = plain_load(&a->d_output, plain_at(&a->d_output, row, i)) *
                      plain_load(&a->weight, i * a->weight.stride[0]) *
                      plain_silu(plain_load(&a->z, plain_at(&a->z, row, i)));
      plain_store(&a->d_x, plain_at(&a->d_x, row, i), r * (u - xh * mean));
    }
  }
  if (plain_present(&a->d_weight)) plain_store_run(&a->d_weight, 0, 0, D, d_weight);
}

static void rms_norm_fwd(const void* arguments, void* workspace) {
  const RmsForward* a = arguments;
  (void)workspace;
  for (int64_t row = 0; row < a->x.shape[0]; ++row) {
    const float r = inverse_rms(&a->x, row, a->eps);
    for (int64_t i = 0; i < a->x.shape[1]; ++i) {
      const float xh = plain_load(&a->x, plain_at(&a->x, row, i)) * r;
      const float weight = plain_load(&a->weight, i * a->weight.stride[0]);
      plain_store(&a->output, plain_at(&a->output, row, i), xh * (1.0f + weight));
    }
  }
}

static void rms_norm_bwd(const void* arguments, void* workspace) {
  const RmsBackward* a = arguments;
  const int64_t R = a->x.shape[0], D = a->x.shape[1];
  float* d_weight = workspace;
  memset(d_weight, 0, (size_t)D * sizeof(float));
  for (int64_t row = 0; row < R; ++row) {
    const float r = inverse_rms(&a->x, row, a->eps);
    float projection = 0.0f;
    for (int64_t i = 0; i < D; ++i) {
      const float d_y = plain_load(&a->d_output, plain_at(&a->d_output, row, i));
      const float xh = plain_load(&a->x, plain_at(&a->x, row, i)) * r;
      projection += d_y * (1.0f + plain_load(&a->weight, i * a->weight.stride[0])) * xh;
      d_weight[i] += d_y * xh;
    }
    const float mean = projection / (float)D;
    for (int64_t i = 0; plain_present(&a->d_x) && i < D; ++i) {
      const float xh = plain_load(&a->x, plain_at(&a->x, row, i)) * r;
      const float u = plain_load(&a->d_output, plain_at(&a->d_output, row, i)) *
                      (1.0f + plain_load(&a->weight, i * a->weight.stride[0]));
      plain_store(&a->d_x, plain_at(&a->d_x, row, i), r * (u - xh * mean));
    }
  }
  if (plain_present(&a->d_weight)) plain_store_run(&a->d_weight, 0, 0, D, d_weight);
}

static void l2norm_fwd(const void* arguments, void* workspace) {
  const L2Forward* a = arguments;
  (void)workspace;
  for (int64_t row = 0; row < a->x.shape[0]; ++row) {
    const float r = 1.0f / sqrtf(sum_of_squares(&a->x, row) + a->eps);
    for (int64_t i = 0; i < a->x.shape[1]; ++i) {
      plain_store(&a->output, plain_at(&a->output, row, i),
                  plain_load(&a->x, plain_at(&a->x, row, i)) * r);
    }
  }
}

static void l2norm_bwd(const void* arguments, void* workspace) {
  const L2Backward* a = arguments;
  (void)workspace;
  const int64_t D = a->x.shape[1];
  for (int64_t row = 0; row < a->x.shape[0]; ++row) {
    const float r = 1.0f / sqrtf(sum_of_squares(&a->x, row) + a->eps);
    float along = 0.0f;
    for (int64_t i = 0; i < D; ++i) {
      along += plain_load(&a->x, plain_at(&a->x, row, i)) * r *
               plain_load(&a->d_output, plain_at(&a->d_output, row, i));
    }
    for (int64_t i = 0; i < D; ++i) {
      const float y = plain_load(&a->x, plain_at(&a->x, row, i)) * r;
      const float d_y = plain_load(&a->d_output, plain_at(&a->d_output, row, i));
      plain_store(&a->d_x, plain_at(&a->d_x, row, i), r * (d_y - y * along));
    }
  }
}

const plain_row plain_gated_rms_norm_fwd = {examine_gated_fwd, NULL, gated_rms_norm_fwd};
const plain_row plain_gated_rms_norm_bwd = {examine_gated_bwd, gated_rms_norm_bwd_workspace,
                                            gated_rms_norm_bwd};
const plain_row plain_rms_norm_fwd = {examine_rms_fwd, NULL, rms_norm_fwd};
const plain_row plain_rms_norm_bwd = {examine_rms_bwd, rms_norm_bwd_workspace, rms_norm_bwd};
const plain_row plain_l2norm_fwd = {examine_l2_fwd, NULL, l2norm_fwd};
const plain_row plain_l2norm_bwd = {examine_l2_bwd, NULL, l2norm_bwd};
