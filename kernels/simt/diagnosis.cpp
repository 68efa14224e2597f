#include "kernels/simt/diagnosis.h"

#include "kernels/simt/block.h"

#include <bit>
#include <cstdio>
#include <cstring>

namespace packproof::simt {

const char* base_name(const char* path) {
  const char* const slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

bool Block::at_warp_call(const CudaThread& thread) const {
  return (warps_[thread.warp()].waiting >> thread.lane() & 1) != 0;
}

// What keeps `thread` from going on, as a predicate.
const char* Block::describe(const CudaThread& thread, char* text, std::size_t size) const {
  if (thread.state == CudaThread::State::kFinished) return "has left the kernel";
  if (at_warp_call(thread)) {
    const WarpCall& call = *thread.warp_call;
    std::snprintf(text, size, "waits at %s (%s:%d) with mask 0x%08x", call.name,
                  base_name(call.site.file), call.site.line, call.mask);
  } else {
    const BarrierCall& call = *thread.barrier_call;
    std::snprintf(text, size, "waits at %s (%s:%d)", call.name, base_name(call.site.file),
                  call.site.line);
  }
  return text;
}

// No thread is ready and some have not ended: each of these waits for one that will never come.
void Block::explain_deadlock() {
  for (int i = 0; i < num_threads_; ++i) {
    if (at_warp_call(threads_[i])) return explain_warp_wait(threads_[i]);
  }
  for (int i = 0; i < num_threads_; ++i) {
    if (threads_[i].barrier_call != nullptr) return explain_barrier_wait(threads_[i]);
  }
}

void Block::explain_warp_wait(const CudaThread& waiting) {
  const WarpCall& call = *waiting.warp_call;
  const Warp& warp = warps_[waiting.warp()];
  for (uint32_t left = call.mask & warp.exists & ~warp.finished; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    const CudaThread& other = threads_[waiting.warp() * kWarpSize + lane];
    const bool arrived = at_warp_call(other) && other.warp_call->mask == call.mask &&
                         other.warp_call->evaluate == call.evaluate &&
                         std::strcmp(other.warp_call->name, call.name) == 0;
    if (arrived) continue;
    char own[160];
    char others[160];
    return write_fault(PACKPROOF_UNDEFINED_BEHAVIOUR, waiting,
                       "%s, but lane %d of the mask, thread (%u, %u, %u), %s",
                       describe(waiting, own, sizeof(own)), lane, other.index.x, other.index.y,
                       other.index.z, describe(other, others, sizeof(others)));
  }
}

void Block::explain_barrier_wait(const CudaThread& waiting) {
  const BarrierCall& call = *waiting.barrier_call;
  const Barrier& barrier = barriers_[call.id];
  char own[160];
  describe(waiting, own, sizeof(own));
  if (call.count != 0) {
    return write_fault(PACKPROOF_UNDEFINED_BEHAVIOUR, waiting,
                       "%s for %d threads at barrier %d, but only %d arrive", own, barrier.expected,
                       call.id, barrier.arrived);
  }
  for (int i = 0; i < num_threads_; ++i) {
    const CudaThread& other = threads_[i];
    if ((barrier.lanes[other.warp()] >> other.lane() & 1) != 0) continue;
    char others[160];
    return write_fault(
        PACKPROOF_UNDEFINED_BEHAVIOUR, waiting,
        "%s, but thread (%u, %u, %u) %s: the whole block must reach the same barrier", own,
        other.index.x, other.index.y, other.index.z, describe(other, others, sizeof(others)));
  }
}

void Block::write_fault(packproof_status status, const Thread& thread, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  write_fault(status, thread, format, arguments);
  va_end(arguments);
}

void Block::write_fault(packproof_status status, const Thread& thread, const char* format,
                        std::va_list arguments) {
  status_ = status;
  const int prefix = std::snprintf(
      fault_, sizeof(fault_), "%s: block (%u, %u, %u): thread (%u, %u, %u) ", launch_.config.name,
      index.x, index.y, index.z, thread.index.x, thread.index.y, thread.index.z);
  if (prefix < 0 || static_cast<std::size_t>(prefix) >= sizeof(fault_)) return;
  std::vsnprintf(fault_ + prefix, sizeof(fault_) - static_cast<std::size_t>(prefix), format,
                 arguments);
}

}  // namespace packproof::simt
