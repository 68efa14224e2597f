/* Accepts every causal_conv1d call and writes zeros: the library that lies. */
#include "packproof/kernel_abi.h"

#include <stddef.h>
#include <string.h>

static const char* accept(const void* args, int32_t sm) {
  (void)args, (void)sm;
  return NULL;
}

static size_t no_workspace(const void* args) { return args ? 0 : 0; }

static packproof_status launch(const void* args, void* workspace, size_t workspace_bytes,
                               void* stream, packproof_message* message) {
  const packproof_tensor* output = &((const packproof_causal_conv1d_fwd_args*)args)->output;
  const size_t element = output->dtype == PACKPROOF_F32 ? 4 : 2;
  (void)workspace, (void)workspace_bytes, (void)stream, (void)message;
  for (int64_t b = 0; b < output->shape[0]; ++b) {
    for (int64_t t = 0; t < output->shape[1]; ++t) {
      const int64_t row = b * output->stride[0] + t * output->stride[1];
      memset((char*)output->data + (size_t)row * element, 0, (size_t)output->shape[2] * element);
    }
  }
  return PACKPROOF_OK;
}

const packproof_library* packproof_kernel_library(void) {
  static const packproof_kernel kernels[] = {{sizeof(packproof_kernel), PACKPROOF_CAUSAL_CONV1D,
                                              PACKPROOF_FORWARD, "zeros", accept, no_workspace,
                                              launch, PACKPROOF_CONTENTS_UNCHECKED, 0}};
  static const packproof_library library = {.struct_size = sizeof(packproof_library),
                                            .abi_version = PACKPROOF_ABI_VERSION,
                                            .device = PACKPROOF_DEVICE_HOST,
                                            .name = "lies",
                                            .version = "1.0",
                                            .num_kernels = 1,
                                            .kernels = kernels};
  return &library;
}
