#pragma once

#include "kernels/simt/collective.h"

#include <bit>
#include <cstdint>
#include <type_traits>

namespace packproof::simt {

enum class ShuffleMode { kIndex, kUp, kDown, kXor };

/// The shuffle of CUDA on raw bits. Reading a lane that does not take part is undefined there and
/// ends the launch here.
uint64_t shuffle(ShuffleMode mode, uint32_t mask, uint64_t bits, int operand, int width, Site site);

/// Bit i is set when lane i of the mask takes part with a true predicate.
uint32_t ballot(const char* name, uint32_t mask, bool predicate, Site site);

void sync_warp(uint32_t mask, Site site);
void sync_block(Site site);

template <class T>
T shuffle_value(ShuffleMode mode, uint32_t mask, T value, int operand, int width, Site site) {
  static_assert(std::is_trivially_copyable_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  const uint64_t result = shuffle(mode, mask, std::bit_cast<Bits>(value), operand, width, site);
  return std::bit_cast<T>(static_cast<Bits>(result));
}

}  // namespace packproof::simt

// CUDA's names. The defaulted arguments record the line of the kernel that calls.

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  packproof::simt::sync_block({file, line});
}

inline void __syncwarp(unsigned mask = 0xffffffffu, const char* file = __builtin_FILE(),
                       int line = __builtin_LINE()) {
  packproof::simt::sync_warp(mask, {file, line});
}

template <class T>
T __shfl_sync(unsigned mask, T value, int source_lane, int width = packproof::simt::kWarpSize,
              const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return packproof::simt::shuffle_value(packproof::simt::ShuffleMode::kIndex, mask, value,
                                        source_lane, width, {file, line});
}

template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = packproof::simt::kWarpSize,
                 const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return packproof::simt::shuffle_value(packproof::simt::ShuffleMode::kUp, mask, value,
                                        static_cast<int>(delta), width, {file, line});
}

template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = packproof::simt::kWarpSize,
                   const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return packproof::simt::shuffle_value(packproof::simt::ShuffleMode::kDown, mask, value,
                                        static_cast<int>(delta), width, {file, line});
}

template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = packproof::simt::kWarpSize,
                  const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return packproof::simt::shuffle_value(packproof::simt::ShuffleMode::kXor, mask, value, lane_mask,
                                        width, {file, line});
}

inline unsigned __ballot_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(),
                              int line = __builtin_LINE()) {
  return packproof::simt::ballot("__ballot_sync", mask, predicate != 0, {file, line});
}

inline int __any_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(),
                      int line = __builtin_LINE()) {
  return packproof::simt::ballot("__any_sync", mask, predicate != 0, {file, line}) != 0;
}

inline int __all_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(),
                      int line = __builtin_LINE()) {
  return packproof::simt::ballot("__all_sync", mask, predicate == 0, {file, line}) == 0;
}
