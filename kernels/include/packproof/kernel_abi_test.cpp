// The C boundary compiles alone in C++20.
#include "packproof/kernel_abi.h"

static_assert(PACKPROOF_ABI_VERSION == 1);
static_assert(sizeof(packproof_message) == PACKPROOF_MESSAGE_SIZE);
