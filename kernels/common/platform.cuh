#pragma once

/// The CUDA language: nvcc's own, or kernels/simt's where a host compiler reads the source. This
/// and the other files of kernels/common hold the only switches on the compiler.

#include <cstddef>
#include <cstdint>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include "kernels/simt/cuda_on_host.h"
#endif
