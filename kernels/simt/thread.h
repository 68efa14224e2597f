#pragma once

#include "kernels/simt/vector_types.h"

#include <cstddef>
#include <cstdint>

namespace packproof::simt {

/// Lanes of a warp.
inline constexpr int kWarpSize = 32;

/// A line of a kernel source, for diagnoses.
struct Site {
  const char* file = nullptr;
  int line = 0;
};

/// What the threads of one block have in common.
struct BlockView {
  uint3 index{};                ///< blockIdx
  dim3 dim;                     ///< blockDim
  dim3 grid;                    ///< gridDim
  std::byte* shared = nullptr;  ///< The block's arena, 128-byte aligned.
  std::size_t shared_bytes = 0;
  uint64_t seed = 0;  ///< Of the schedule; bits 0 and 1 pick the modes of kernels/ptx.
};

/// One CUDA thread as its kernel sees it.
struct Thread {
  uint3 index{};        ///< threadIdx
  uint32_t linear = 0;  ///< x + blockDim.x (y + blockDim.y z)
  const BlockView* block = nullptr;

  int lane() const { return static_cast<int>(linear % kWarpSize); }

  int warp() const { return static_cast<int>(linear / kWarpSize); }
};

/// The CUDA thread that runs on this host thread; null outside a launch. The initial-exec model
/// makes the read one instruction also in a shared object.
extern thread_local constinit Thread* running_thread __attribute__((tls_model("initial-exec")));

/// The running block's shared memory. Ends the launch when `bytes` exceeds what was asked for.
std::byte* shared_arena(std::size_t bytes);

/// Ends the launch with PACKPROOF_UNDEFINED_BEHAVIOUR. The sentence is kernel, block and `thread`
/// followed by the formatted text, which reads as their predicate. Callable from kernel code and
/// from evaluations of collectives only.
[[noreturn]] void fail(const Thread& thread, const char* format, ...)
    __attribute__((format(printf, 2, 3)));

}  // namespace packproof::simt
