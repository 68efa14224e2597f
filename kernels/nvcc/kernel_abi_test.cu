// The C boundary compiles in nvcc.
#include "packproof/kernel_abi.h"

static_assert(sizeof(packproof_tensor::shape) == sizeof(int64_t) * PACKPROOF_MAX_RANK);
