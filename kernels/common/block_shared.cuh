#pragma once

#include "kernels/common/platform.cuh"

#include <type_traits>

namespace packproof {

/// The block's shared memory as one struct per kernel; launch with shared_bytes = sizeof(T). Its
/// contents are undefined at block start (on the host: NaN bytes, guarded at both ends).
template <class T>
__device__ __forceinline__ T& block_shared() {
  static_assert(std::is_trivially_copyable_v<T> && alignof(T) <= 128);
#ifdef __CUDACC__
  extern __shared__ __align__(128) unsigned char packproof_block_shared[];
  return *reinterpret_cast<T*>(packproof_block_shared);
#else
  return *reinterpret_cast<T*>(simt::shared_arena(sizeof(T)));
#endif
}

}  // namespace packproof
