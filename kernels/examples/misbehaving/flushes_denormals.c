/* The vendor example, in a library whose start-up code switches flush-to-zero on, as objects linked
 * with -ffast-math do. */
#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "packproof/kernel_abi.h"

const packproof_library* vendor_kernel_library(void);

__attribute__((constructor)) static void start(void) {
#if defined(__SSE__)
  _mm_setcsr(_mm_getcsr() | 0x8040);
#endif
}

const packproof_library* packproof_kernel_library(void) { return vendor_kernel_library(); }
