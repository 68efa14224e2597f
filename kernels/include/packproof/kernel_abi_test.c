/* The C boundary compiles alone in C99 and C11, and holds the layout that libraries rely on. */
#include "packproof/kernel_abi.h"

static packproof_kernel_library_fn library_function = packproof_kernel_library;

size_t packproof_kernel_abi_first_fields(void) {
  return offsetof(packproof_kernel, struct_size) + offsetof(packproof_library, struct_size) +
         offsetof(packproof_causal_conv1d_fwd_args, struct_size) +
         (library_function == 0 ? 1u : 0u);
}
