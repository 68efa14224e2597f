#pragma once

#include "kernels/common/platform.cuh"

#include <cstring>

namespace packproof {

/// Sixteen bytes, the largest access of a thread. Both addresses of a copy are aligned to them.
inline constexpr int kPieceBytes = 16;

#ifdef __CUDACC__

__device__ __forceinline__ uint4 load_piece(const void* source) {
  return *static_cast<const uint4*>(source);
}

__device__ __forceinline__ void store_piece(const uint4& piece, void* target) {
  *static_cast<uint4*>(target) = piece;
}

/// Two elements of 16 bits, the lower half first.
__device__ __forceinline__ void store_pair(uint32_t pair, void* target) {
  *static_cast<uint32_t*>(target) = pair;
}

#else

// Through memcpy, which may read and write objects of any type.

inline uint4 load_piece(const void* source) {
  uint4 piece;
  std::memcpy(&piece, __builtin_assume_aligned(source, kPieceBytes), sizeof(piece));
  return piece;
}

inline void store_piece(const uint4& piece, void* target) {
  std::memcpy(__builtin_assume_aligned(target, kPieceBytes), &piece, sizeof(piece));
}

inline void store_pair(uint32_t pair, void* target) {
  std::memcpy(__builtin_assume_aligned(target, sizeof(pair)), &pair, sizeof(pair));
}

#endif

}  // namespace packproof
