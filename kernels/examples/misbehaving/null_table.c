/* Returns no table. */
#include "packproof/kernel_abi.h"

const packproof_library* packproof_kernel_library(void) { return NULL; }
