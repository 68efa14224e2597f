#pragma once

#include "kernels/common/launch_config.h"
#include "packproof/kernel_abi.h"

#include <cstddef>
#include <cstdint>

namespace packproof::simt {

/// Runs `invoke(context)` once per CUDA thread of the grid and returns when all have ended. Blocks
/// are spread over PACKPROOF_SIMT_THREADS host threads (default: all), the caller among them.
///
/// PACKPROOF_INVALID_ARGUMENT: the configuration is one that CUDA refuses; nothing ran.
/// PACKPROOF_UNDEFINED_BEHAVIOUR: one sentence in `message` (may be null) names kernel, block and
/// thread; of several faults it is the one of the block that comes first in the schedule.
packproof_status launch(const LaunchConfig& config, void (*invoke)(void* context), void* context,
                        packproof_message* message);

/// What the emulated device has: one multiprocessor and the 227 KB of shared memory a block that
/// sm_90 gives, or what PACKPROOF_SIMT_MULTIPROCESSORS and PACKPROOF_SIMT_SHARED_BYTES say at the
/// time of the call. Launches choose their way by these, never a bit of their results.
int num_multiprocessors();
std::size_t max_shared_bytes();

/// Seeds the order of blocks, and of threads between synchronisation points, of later launches in
/// this process; 0 is the natural order.
void set_schedule(uint64_t seed);

}  // namespace packproof::simt
