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

}  // namespace

void prepare(Fiber& fiber, Stack stack, void (*entry)(Fiber&), [[maybe_unused]] const char* name) {
  fiber.stack = stack;
  fiber.entry = entry;
  fiber.context = boost::context::detail::make_fcontext(stack.top, stack.bytes(), enter);
#if PACKPROOF_SIMT_THREAD_SANITIZER
  fiber.thread_sanitizer_fiber = __tsan_create_fiber(0);
  __tsan_set_fiber_name(fiber.thread_sanitizer_fiber, name);
#endif
}

void adopt_host_thread([[maybe_unused]] Fiber& home) {
#if PACKPROOF_SIMT_THREAD_SANITIZER
  home.thread_sanitizer_fiber = __tsan_get_current_fiber();
#endif
}

void retire([[maybe_unused]] Fiber& fiber, [[maybe_unused]] Fiber& home,
            [[maybe_unused]] void* object) {
#if PACKPROOF_SIMT_THREAD_SANITIZER
  __tsan_switch_to_fiber(fiber.thread_sanitizer_fiber, __tsan_switch_to_fiber_no_sync);
  __tsan_release(object);
  __tsan_switch_to_fiber(home.thread_sanitizer_fiber, __tsan_switch_to_fiber_no_sync);
  __tsan_destroy_fiber(fiber.thread_sanitizer_fiber);
  fiber.thread_sanitizer_fiber = nullptr;
#endif
}

}  // namespace packproof::simt
