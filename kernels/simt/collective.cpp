#include "kernels/simt/collective.h"

#include "kernels/simt/block.h"
#include "kernels/simt/diagnosis.h"
#include "kernels/simt/switching.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

namespace packproof::simt {
namespace {

bool same_text(const char* a, const char* b) { return a == b || std::strcmp(a, b) == 0; }

}  // namespace

void check_full_warp(WarpCall* const (&lanes)[kWarpSize]) {
  const WarpCall* present = nullptr;
  int num_present = 0;
  for (const WarpCall* lane : lanes) {
    if (lane == nullptr) continue;
    present = lane;
    ++num_present;
  }
  if (num_present != kWarpSize) {
    fail(*present->thread, "calls %s (%s:%d) in a warp of %d lanes; expected a full warp",
         present->name, base_name(present->site.file), present->site.line, num_present);
  }
}

void check_shared_operand(const char* name, Site site, const void* address, std::size_t bytes,
                          std::size_t alignment) {
  const Thread& thread = *running_thread;
  const auto begin = reinterpret_cast<std::uintptr_t>(thread.block->shared);
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  if (thread.block->shared == nullptr || at < begin ||
      at + bytes > begin + thread.block->shared_bytes) {
    fail(thread, "calls %s (%s:%d) with an address outside the block's %zu bytes of shared memory",
         name, base_name(site.file), site.line, thread.block->shared_bytes);
  }
  if (at % alignment != 0) {
    fail(thread,
         "calls %s (%s:%d) with an address in shared memory that is not aligned to %zu bytes", name,
         base_name(site.file), site.line, alignment);
  }
}

void Block::give_way(CudaThread& self) {
  make_ready(self.warp(), uint32_t{1} << self.lane());
  wait(self, Next::kOtherWarp);
}

void rendezvous(WarpCall& call) {
  CudaThread& self = static_cast<CudaThread&>(*running_thread);
  Block::of(self).meet(self, call);
}

void Block::fail_mask(const CudaThread& self, const WarpCall& call) {
  fail(self, "calls %s (%s:%d) with mask 0x%08x, which does not name its own lane %d", call.name,
       base_name(call.site.file), call.site.line, call.mask, self.lane());
}

// Completes `call` if all lanes that it names have arrived; `self` is the running thread, of the
// same warp.
bool Block::complete(CudaThread& self, const WarpCall& call) {
  Warp& warp = warps_[self.warp()];
  const uint32_t needed = call.mask & warp.exists & ~warp.finished;
  if ((warp.waiting & needed) != needed) return false;
  WarpCall* lanes[kWarpSize] = {};
  const CudaThread* threads = &threads_[self.warp() * kWarpSize];
  for (uint32_t left = needed; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    WarpCall* const other = threads[lane].warp_call;
    if (other->mask != call.mask || other->evaluate != call.evaluate ||
        !same_text(other->name, call.name)) {
      return false;
    }
    lanes[lane] = other;
  }
  if (call.evaluate != nullptr) call.evaluate(lanes);
  if (kThreadSanitizer && call.orders_memory) order_memory(self, lanes);
  warp.waiting &= ~needed;
  make_ready(self.warp(), needed);
  return true;
}

// ThreadSanitizer: everything before the call, in all lanes, happens before everything after it.
void Block::order_memory(CudaThread& self, WarpCall* const (&lanes)[kWarpSize]) {
  for (const WarpCall* lane : lanes) {
    if (lane != nullptr) happens_after(&order_->arrival[lane->thread->linear]);
  }
  void* const object = &order_->completion[self.linear][order_->completions[self.linear]++ % 4];
  happens_before(object);
  for (const WarpCall* lane : lanes) {
    if (lane != nullptr) threads_[lane->thread->linear].order_object = object;
  }
}

PACKPROOF_SIMT_INLINE void Block::meet(CudaThread& self, BarrierCall& call) {
  call.thread = &self;
  if (call.id < 0 || call.id >= kNumBarriers || call.count < 0 || call.count > num_threads_ ||
      call.count % kWarpSize != 0) {
    fail(self,
         "calls %s (%s:%d) with barrier %d and count %d; expected a barrier of 0 to %d and a "
         "multiple of %d up to the block's %d threads",
         call.name, base_name(call.site.file), call.site.line, call.id, call.count,
         kNumBarriers - 1, kWarpSize, num_threads_);
  }
  Barrier& barrier = barriers_[call.id];
  if (barrier.arrived == 0) {
    used_barriers_ |= uint32_t{1} << call.id;
    barrier.first = call;
    barrier.expected = call.count == 0 ? num_threads_ : call.count;
  } else {
    check_arrival(self, barrier, call);
  }
  const uint32_t bit = uint32_t{1} << self.lane();
  barrier.lanes[self.warp()] |= bit;
  ++barrier.arrived;
  void* const object = kThreadSanitizer ? &order_->barrier[call.id][barrier.phase % 4] : nullptr;
  happens_before(object);
  if (call.waits) {
    barrier.waiting[self.warp()] |= bit;
    self.barrier_call = &call;
  }
  const bool last = barrier.arrived == barrier.expected;
  if (last) complete(self, barrier);
  if (!call.waits) return;
  wait(self, last ? Next::kOtherWarp : Next::kNearby);
  happens_after(object);
}

void Block::check_arrival(const CudaThread& self, const Barrier& barrier,
                          const BarrierCall& call) const {
  const BarrierCall& first = barrier.first;
  const bool whole_block = first.count == 0;
  const bool same_line =
      first.site.line == call.site.line && same_text(first.site.file, call.site.file);
  // Threads of a named barrier may come from different lines (bar.sync and bar.arrive); CUDA asks
  // of
  // __syncthreads that the whole block reaches the same one.
  if (first.count != call.count || first.evaluate != call.evaluate || (whole_block && !same_line)) {
    fail(*first.thread, "waits at %s (%s:%d), but thread (%u, %u, %u) arrives at %s (%s:%d)%s",
         first.name, base_name(first.site.file), first.site.line, self.index.x, self.index.y,
         self.index.z, call.name, base_name(call.site.file), call.site.line,
         first.count != call.count ? " of the same number with another count" : "");
  }
  if ((barrier.lanes[self.warp()] >> self.lane() & 1) != 0) {
    fail(self, "arrives twice at barrier %d (%s:%d) before it is complete", call.id,
         base_name(call.site.file), call.site.line);
  }
}

void Block::complete(CudaThread& self, Barrier& barrier) {
  BarrierCall* calls[kMaxThreads];
  int count = 0;
  for (int w = 0; w * kWarpSize < num_threads_; ++w) {
    if (barrier.lanes[w] == 0) continue;
    if ((warps_[w].exists & ~warps_[w].finished & ~barrier.lanes[w]) != 0) {
      fail(self, "completes %s %d (%s:%d) to which warp %d sent only a part of its lanes, 0x%08x",
           barrier.first.name, barrier.first.id, base_name(barrier.first.site.file),
           barrier.first.site.line, w, barrier.lanes[w]);
    }
    if (barrier.waiting[w] == 0) continue;
    for (uint32_t left = barrier.waiting[w]; left != 0; left &= left - 1) {
      CudaThread& thread = threads_[w * kWarpSize + std::countr_zero(left)];
      calls[count++] = std::exchange(thread.barrier_call, nullptr);
    }
    make_ready(w, barrier.waiting[w]);
  }
  if (barrier.first.evaluate != nullptr) barrier.first.evaluate(calls, count);
  std::fill_n(barrier.lanes, kMaxWarps, 0);
  std::fill_n(barrier.waiting, kMaxWarps, 0);
  barrier.arrived = 0;
  ++barrier.phase;
}

void rendezvous(BarrierCall& call) {
  CudaThread& self = static_cast<CudaThread&>(*running_thread);
  Block::of(self).meet(self, call);
}

void sync_block(Site site) {
  BarrierCall call{.name = "__syncthreads", .site = site};
  CudaThread& self = static_cast<CudaThread&>(*running_thread);
  Block::of(self).meet(self, call);
}

}  // namespace packproof::simt
