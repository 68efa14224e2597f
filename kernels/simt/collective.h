#pragma once

#include "kernels/simt/thread.h"

#include <cstdint>

namespace packproof::simt {

/// One lane's part in an operation that the lanes named in `mask` execute together. A collective
/// derives from it and adds its operands and results; it lives on the lane's own stack.
///
/// The last lane to arrive calls `evaluate` once for all of them: `lanes[i]` is lane i's call, null
/// when the lane does not take part. As in CUDA, lanes that have left the kernel or never existed
/// are not waited for.
struct WarpCall {
  using Evaluate = void (*)(WarpCall* const (&lanes)[kWarpSize]);

  const char* name;  ///< As the source spells it.
  Site site;
  uint32_t mask;
  Evaluate evaluate;               ///< Null: nothing to compute.
  bool orders_memory = false;      ///< Like __syncwarp; shuffles and votes order nothing.
  const Thread* thread = nullptr;  ///< Filled by rendezvous().
};

/// Waits until every lane in `call.mask` has arrived with the same mask and evaluation, then
/// returns with the results in `call`. Ends the launch when the caller is not in its own mask.
void rendezvous(WarpCall& call);

/// For evaluations that need all lanes: ends the launch when one has left or does not exist.
void check_full_warp(WarpCall* const (&lanes)[kWarpSize]);

/// Ends the launch unless [address, address + bytes) is shared memory of the running block and
/// `address` is aligned; `name` is the operation that needs it.
void check_shared_operand(const char* name, Site site, const void* address, std::size_t bytes,
                          std::size_t alignment);

/// One thread's part in a barrier of its block.
struct BarrierCall {
  /// `calls` holds `count` entries in ascending order of linear thread index.
  using Evaluate = void (*)(BarrierCall* const* calls, int count);

  const char* name;
  Site site;
  int id = 0;         ///< Hardware barrier, 0 to 15; __syncthreads is 0.
  int count = 0;      ///< Threads that meet, a multiple of 32; 0 is the whole block.
  bool waits = true;  ///< False: bar.arrive.
  Evaluate evaluate = nullptr;
  const Thread* thread = nullptr;  ///< Filled by rendezvous().
};

/// Waits until the barrier is complete. Arrivals that cannot belong together (other count, other
/// evaluation, or for whole-block barriers another source line) end the launch.
void rendezvous(BarrierCall& call);

/// Lets other threads of the block run; for loops that wait on an atomic.
void yield();

}  // namespace packproof::simt
