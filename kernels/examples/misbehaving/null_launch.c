/* A table with a row that can't be launched. */
#include "packproof/kernel_abi.h"

const packproof_library* packproof_kernel_library(void) {
  static const packproof_kernel kernels[] = {{.struct_size = sizeof(packproof_kernel),
                                              .op = PACKPROOF_L2NORM,
                                              .direction = PACKPROOF_FORWARD,
                                              .variant = "empty"}};
  static const packproof_library library = {.struct_size = sizeof(packproof_library),
                                            .abi_version = PACKPROOF_ABI_VERSION,
                                            .device = PACKPROOF_DEVICE_HOST,
                                            .name = "null_launch",
                                            .version = "1.0",
                                            .num_kernels = 1,
                                            .kernels = kernels};
  return &library;
}
