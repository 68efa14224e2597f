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
  void* thread_sanitizer_fiber = nullptr;
};

/// Gives `fiber` a stack and an entry function, which must never return. Call from home only.
/// `name` is what ThreadSanitizer calls it.
void prepare(Fiber& fiber, Stack stack, void (*entry)(Fiber& self), const char* name);

/// Makes the calling host thread's own flow switchable.
void adopt_host_thread(Fiber& home);

/// Lets ThreadSanitizer order all that `fiber` did before what follows an acquire of `object`, and
/// forget the fiber. Call from home.
void retire(Fiber& fiber, Fiber& home, void* object);

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
  __tsan_switch_to_fiber(to.thread_sanitizer_fiber, __tsan_switch_to_fiber_no_sync);
#endif
  const boost::context::detail::transfer_t back =
      boost::context::detail::jump_fcontext(to.context, &transfer);
  static_cast<Transfer*>(back.data)->from.context = back.fctx;
#if defined(__SANITIZE_ADDRESS__)
  __sanitizer_finish_switch_fiber(from.address_sanitizer_stack, nullptr, nullptr);
#endif
}

}  // namespace packproof::simt
