#include "kernels/simt/warp.h"

#include "kernels/simt/diagnosis.h"
#include "kernels/simt/sanitizer.h"
#include "kernels/simt/switching.h"

namespace packproof::simt {
namespace {

struct ShuffleCall : WarpCall {
  ShuffleMode mode;
  int operand;
  int width;
  uint64_t bits;
  uint64_t result;
};

struct BallotCall : WarpCall {
  bool predicate;
  uint32_t result;
};

constexpr const char* kShuffleNames[] = {"__shfl_sync", "__shfl_up_sync", "__shfl_down_sync",
                                         "__shfl_xor_sync"};

// The PTX definition of shfl.sync: the source lane, or the lane itself where that falls outside.
int source_lane(const ShuffleCall& call, int lane) {
  const int segment = lane & ~(call.width - 1);
  const int last = segment + call.width - 1;
  switch (call.mode) {
    case ShuffleMode::kIndex:
      return segment | (call.operand & (call.width - 1));
    case ShuffleMode::kUp: {
      const int source = lane - (call.operand & 31);
      return source >= segment ? source : lane;
    }
    case ShuffleMode::kDown: {
      const int source = lane + (call.operand & 31);
      return source <= last ? source : lane;
    }
    case ShuffleMode::kXor: {
      const int source = lane ^ (call.operand & 31);
      return source <= last ? source : lane;
    }
  }
  return lane;
}

void evaluate_shuffle(WarpCall* const (&lanes)[kWarpSize]) {
  for (int lane = 0; lane < kWarpSize; ++lane) {
    if (lanes[lane] == nullptr) continue;
    auto& call = static_cast<ShuffleCall&>(*lanes[lane]);
    const int source = source_lane(call, lane);
    if (lanes[source] == nullptr) {
      fail(*call.thread,
           "reads lane %d by %s (%s:%d) with mask 0x%08x; that lane does not take part", source,
           call.name, base_name(call.site.file), call.site.line, call.mask);
    }
    call.result = static_cast<const ShuffleCall&>(*lanes[source]).bits;
  }
}

void evaluate_ballot(WarpCall* const (&lanes)[kWarpSize]) {
  uint32_t votes = 0;
  for (int lane = 0; lane < kWarpSize; ++lane) {
    if (lanes[lane] != nullptr && static_cast<const BallotCall&>(*lanes[lane]).predicate) {
      votes |= uint32_t{1} << lane;
    }
  }
  for (WarpCall* lane : lanes) {
    if (lane != nullptr) static_cast<BallotCall&>(*lane).result = votes;
  }
}

char fence_object;

}  // namespace

uint64_t shuffle(ShuffleMode mode, uint32_t mask, uint64_t bits, int operand, int width,
                 Site site) {
  ShuffleCall call;
  call.name = kShuffleNames[static_cast<int>(mode)];
  call.site = site;
  call.mask = mask;
  call.evaluate = evaluate_shuffle;
  call.mode = mode;
  call.operand = operand;
  call.width = width;
  call.bits = bits;
  if (width < 1 || width > kWarpSize || (width & (width - 1)) != 0) {
    fail(*running_thread, "calls %s (%s:%d) with width %d; expected a power of two up to %d",
         call.name, base_name(site.file), site.line, width, kWarpSize);
  }
  CudaThread& self = static_cast<CudaThread&>(*running_thread);
  Block::of(self).meet(self, call);
  return call.result;
}

uint32_t ballot(const char* name, uint32_t mask, bool predicate, Site site) {
  BallotCall call;
  call.name = name;
  call.site = site;
  call.mask = mask;
  call.evaluate = evaluate_ballot;
  call.predicate = predicate;
  CudaThread& self = static_cast<CudaThread&>(*running_thread);
  Block::of(self).meet(self, call);
  return call.result;
}

void sync_warp(uint32_t mask, Site site) {
  WarpCall call{.name = "__syncwarp", .site = site, .mask = mask, .evaluate = nullptr};
  call.orders_memory = true;
  CudaThread& self = static_cast<CudaThread&>(*running_thread);
  Block::of(self).meet(self, call);
}

void thread_fence() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
  happens_before(&fence_object);
  happens_after(&fence_object);
}

}  // namespace packproof::simt
