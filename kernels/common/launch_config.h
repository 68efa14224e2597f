#pragma once

#include <cstddef>

#ifdef __CUDACC__
#include <cuda_runtime.h>
#else
#include "kernels/simt/vector_types.h"
#endif

namespace packproof {

/// How a kernel is started. Fill it with designated initialisers.
struct LaunchConfig {
  const char* name = "kernel";   ///< For messages.
  dim3 grid;                     ///< Blocks.
  dim3 block;                    ///< Threads of a block, at most 1024.
  std::size_t shared_bytes = 0;  ///< sizeof the struct that the kernel takes by block_shared.
  void* stream = nullptr;        ///< cudaStream_t; ignored on the host.
};

}  // namespace packproof
