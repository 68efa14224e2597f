#include "kernels/simt/fiber.h"

namespace packproof::simt {
namespace {

void enter(boost::context::detail::transfer_t arrival) {
  const Transfer& transfer = *static_cast<Transfer*>(arrival.data);
  Fiber& home = transfer.from;
  Fiber& self = transfer.to;
  home.context = arrival.fctx;
#if defined(__SANITIZE_ADDRESS__)
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &bytes);
  home.stack.bottom = static_cast<std::byte*>(const_cast<void*>(bottom));
  home.stack.top = home.stack.bottom + bytes;
#endif
  self.entry(self);
}

#if PACKPROOF_SIMT_THREAD_SANITIZER
// Acts as `fiber` in ThreadSanitizer's eyes while still on home's stack.
template <class Action>
void act_as(Fiber& fiber, Fiber& home, Action action) {
  __tsan_switch_to_fiber(fiber.race_detector_thread, __tsan_switch_to_fiber_no_sync);
  action();
  __tsan_switch_to_fiber(home.race_detector_thread, __tsan_switch_to_fiber_no_sync);
}
#endif

}  // namespace

void* RaceDetectorThreads::take() {
#if PACKPROOF_SIMT_THREAD_SANITIZER
  constexpr int kFew = 256;
  if (num_idle_ == 0 || total_ < kFew) {
    ++total_;
    return __tsan_create_fiber(0);
  }
  void* const longest_idle = idle_[first_];
  first_ = (first_ + 1) % kCapacity;
  --num_idle_;
  return longest_idle;
#else
  return nullptr;
#endif
}

void prepare(Fiber& fiber, Stack stack, void (*entry)(Fiber&)) {
  fiber.stack = stack;
  fiber.entry = entry;
  fiber.context = boost::context::detail::make_fcontext(stack.top, stack.bytes(), enter);
}

void adopt_host_thread([[maybe_unused]] Fiber& home) {
#if PACKPROOF_SIMT_THREAD_SANITIZER
  home.race_detector_thread = __tsan_get_current_fiber();
#endif
}

void order_start([[maybe_unused]] Fiber& fiber, [[maybe_unused]] Fiber& home) {
#if PACKPROOF_SIMT_THREAD_SANITIZER
  __tsan_release(&home);
  act_as(fiber, home, [&home] { __tsan_acquire(&home); });
#endif
}

void set_report_name([[maybe_unused]] Fiber& fiber, [[maybe_unused]] const char* name) {
#if PACKPROOF_SIMT_THREAD_SANITIZER
  __tsan_set_fiber_name(fiber.race_detector_thread, name);
#endif
}

void order_end([[maybe_unused]] Fiber& fiber, [[maybe_unused]] Fiber& home,
               [[maybe_unused]] void* object) {
#if PACKPROOF_SIMT_THREAD_SANITIZER
  act_as(fiber, home, [object] { __tsan_release(object); });
#endif
}

}  // namespace packproof::simt
