/* Speaks a version of the boundary that does not exist. */
#include "packproof/kernel_abi.h"

const packproof_library* packproof_kernel_library(void) {
  static const packproof_library library = {
      .struct_size = sizeof(packproof_library), .abi_version = 999, .name = "wrong_version"};
  return &library;
}
