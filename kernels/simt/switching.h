#pragma once

#include "kernels/simt/block.h"

#include <bit>
#include <cstdint>

// The path from a collective to the next thread, inlined into each collective as a whole. A switch
// leaves the processor's return stack one entry off, so every return between it and the kernel is
// mispredicted: one frame instead of four makes a shuffle twice as fast.
#define PACKPROOF_SIMT_INLINE inline __attribute__((always_inline))

namespace packproof::simt {

// The first set bit after position `after`, wrapping around; bits != 0.
PACKPROOF_SIMT_INLINE int next_bit(uint32_t bits, int after) {
  const uint32_t above = bits & ~((uint32_t{2} << after) - 1);
  return std::countr_zero(above != 0 ? above : bits);
}

PACKPROOF_SIMT_INLINE Block& Block::of(const Thread& thread) {
  return static_cast<Block&>(const_cast<BlockView&>(*thread.block));
}

PACKPROOF_SIMT_INLINE CudaThread* Block::pick(Next next) {
  if (ready_warps_ == 0) return nullptr;
  if (seed != 0) {
    const uint64_t random = random_.next();
    current_warp_ = next_bit(ready_warps_, static_cast<int>(random % 32));
    warps_[current_warp_].last_lane = static_cast<int>(random / 32 % 32);
  } else if (next == Next::kOtherWarp || warps_[current_warp_].ready == 0) {
    current_warp_ = next_bit(ready_warps_, current_warp_);
  }
  Warp& warp = warps_[current_warp_];
  warp.last_lane = next_bit(warp.ready, warp.last_lane);
  warp.ready &= ~(uint32_t{1} << warp.last_lane);
  if (warp.ready == 0) ready_warps_ &= ~(uint32_t{1} << current_warp_);
  return &threads_[current_warp_ * kWarpSize + warp.last_lane];
}

PACKPROOF_SIMT_INLINE void Block::make_ready(int warp, uint32_t lanes) {
  warps_[warp].ready |= lanes;
  ready_warps_ |= uint32_t{1} << warp;
}

PACKPROOF_SIMT_INLINE void Block::wait(CudaThread& self, Next next) {
  if (!arena_.guards_hold()) fail_guards(self);
  CudaThread* const thread = pick(next);
  if (thread == &self) return;
  if (thread == nullptr || thread->state == CudaThread::State::kUnstarted) {
    to_start_ = thread;
    switch_fiber(self.fiber, home_, Leaving::kForNow);
  } else {
    running_thread = thread;
    switch_fiber(self.fiber, thread->fiber, Leaving::kForNow);
  }
}

PACKPROOF_SIMT_INLINE void Block::meet(CudaThread& self, WarpCall& call) {
  const uint32_t bit = uint32_t{1} << self.lane();
  if ((call.mask & bit) == 0) fail_mask(self, call);
  call.thread = &self;
  self.warp_call = &call;
  warps_[self.warp()].waiting |= bit;
  if (kThreadSanitizer && call.orders_memory) happens_before(&order_->arrival[self.linear]);
  complete(self, call);
  wait(self, Next::kNearby);
  if (kThreadSanitizer && call.orders_memory) happens_after(self.order_object);
}

}  // namespace packproof::simt
