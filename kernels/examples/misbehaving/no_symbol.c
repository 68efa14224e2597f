/* A shared object that is no kernel library. */
int packproof_no_kernel_library;
