#pragma once

#include "kernels/simt/sanitizer.h"
#include "kernels/simt/stack_pool.h"

#include <boost/context/detail/fcontext.hpp>

namespace packproof::simt {

/// A flow of control. The host thread that schedules is one too (`home`); it owns no stack here.
struct Fiber {
  boost::context::detail::fcontext_t context = nullptr;
  Stack stack;
  void (*entry)(Fiber& self) = nullptr;
  void* address_sanitizer_stack = nullptr;
  void* race_detector_thread = nullptr;
};

/// What ThreadSanitizer knows as threads. Making one costs it a millisecond and 0.8 MB, and every
/// order between threads grows with their number, so CUDA threads borrow them: all of a block at the
/// same time, hence different ones; a later block's thread may continue an earlier block's. Races
/// inside a block are never hidden by that, races between blocks may be. Does nothing in other builds.
class RaceDetectorThreads {
 public:
  /// The one that has been idle longest, or a new one while there are few.
  void* take();

  void put_back(void* thread) { idle_[(first_ + num_idle_++) % kCapacity] = thread; }

 private:
  // Twice the largest block: a thread and what performs its asynchronous copies.
  static constexpr int kCapacity = kThreadSanitizer ? 4096 : 1;

  void* idle_[kCapacity] = {};
  int first_ = 0;
  int num_idle_ = 0;
  int total_ = 0;
};

/// Gives `fiber` a stack and an entry function, which must never return. Call from home only.
void prepare(Fiber& fiber, Stack stack, void (*entry)(Fiber& self));

/// Makes the calling host thread's own flow switchable.
void adopt_host_thread(Fiber& home);

/// ThreadSanitizer: all that home did so far happens before what `fiber` does from now on.
void order_start(Fiber& fiber, Fiber& home);

/// What ThreadSanitizer's reports call the fiber.
void set_report_name(Fiber& fiber, const char* name);

/// ThreadSanitizer: all that `fiber` did happens before what follows an acquire of `object`.
void order_end(Fiber& fiber, Fiber& home, void* object);

enum class Leaving { kForNow, kForGood };

/// What a fiber hands to the one that it continues.
struct Transfer {
  Fiber& from;
  Fiber& to;
};

/// Continues `to`; returns when somebody switches back to `from`. The switch itself synchronises
/// nothing in ThreadSanitizer's eyes: the order of a schedule must not hide a race.
inline void switch_fiber(Fiber& from, Fiber& to, [[maybe_unused]] Leaving leaving) {
  Transfer transfer{from, to};
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_start_switch_fiber(
      leaving == Leaving::kForGood ? nullptr : &from.address_sanitizer_stack, to.stack.bottom,
      to.stack.bytes());
#endif
#if PACKPROOF_SIMT_THREAD_SANITIZER
  __tsan_switch_to_fiber(to.race_detector_thread, __tsan_switch_to_fiber_no_sync);
#endif
  const boost::context::detail::transfer_t back =
      boost::context::detail::jump_fcontext(to.context, &transfer);
  static_cast<Transfer*>(back.data)->from.context = back.fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.address_sanitizer_stack, nullptr, nullptr);
#endif
}

}  // namespace packproof::simt
