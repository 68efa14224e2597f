#pragma once

/// The CUDA language for a host compiler: what a kernel source may use, executed by kernels/simt.
/// Kernel sources include kernels/common/platform.cuh, never this file.
///
/// Absent on purpose: __shared__ (kernels/common/block_shared.cuh), <<<>>> (launch.cuh), half and
/// bfloat16 types (convert.cuh), textures, cooperative groups, dynamic parallelism.

#include "kernels/simt/atomics.h"
#include "kernels/simt/intrinsics.h"
#include "kernels/simt/thread.h"
#include "kernels/simt/vector_types.h"
#include "kernels/simt/warp.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)

#define threadIdx (::packproof::simt::running_thread->index)
#define blockIdx (::packproof::simt::running_thread->block->index)
#define blockDim (::packproof::simt::running_thread->block->dim)
#define gridDim (::packproof::simt::running_thread->block->grid)
#define warpSize (::packproof::simt::kWarpSize)
