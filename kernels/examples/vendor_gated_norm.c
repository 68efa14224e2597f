#include "packproof/kernel_abi.h"

#include <math.h>

static const char* unsupported_reason(const void* arguments, int32_t sm) {
  const packproof_gated_rms_norm_fwd_args* a = arguments;
  const int taken = a->x.dtype == PACKPROOF_F32 && a->x.stride[1] == 1 && a->z.stride[1] == 1;
  return sm == 0 && taken ? NULL : "only contiguous rows of f32 on the host are supported";
}

static size_t workspace_size(const void* arguments) { return arguments ? 0 : 0; }

static packproof_status launch(const void* arguments, void* workspace, size_t workspace_bytes,
                               void* stream, packproof_message* message) {
  const packproof_gated_rms_norm_fwd_args* a = arguments;
  (void)workspace, (void)workspace_bytes, (void)stream, (void)message;
  for (int64_t r = 0; r < a->x.shape[0]; ++r) {
    const float* x = (const float*)a->x.data + r * a->x.stride[0];
    const float* z = (const float*)a->z.data + r * a->z.stride[0];
    float *y = (float*)a->output.data + r * a->output.stride[0], squares = 0.0f;
    for (int64_t i = 0; i < a->x.shape[1]; ++i) squares += x[i] * x[i];
    const float scale = 1.0f / sqrtf(squares / (float)a->x.shape[1] + a->eps);
    for (int64_t i = 0; i < a->x.shape[1]; ++i)
      y[i] = ((const float*)a->weight.data)[i] * x[i] * scale * z[i] / (1.0f + expf(-z[i]));
  }
  return PACKPROOF_OK;
}

static const packproof_kernel kernels[] = {{sizeof(packproof_kernel), PACKPROOF_GATED_RMS_NORM,
                                            PACKPROOF_FORWARD, "vendor_gated_norm",
                                            unsupported_reason, workspace_size, launch,
                                            PACKPROOF_CONTENTS_UNCHECKED, 1u << PACKPROOF_F32}};
static const packproof_library library[] = {{sizeof(packproof_library), PACKPROOF_ABI_VERSION,
                                             PACKPROOF_DEVICE_HOST, "vendor", "1.0", 1, kernels, 1,
                                             0, NULL}};

const packproof_library* packproof_kernel_library(void) { return library; }
