#pragma once

#include <cstddef>

// What the engine tells AddressSanitizer and ThreadSanitizer about its fibers; nothing in other
// builds. ThreadSanitizer must not see the engine's own accesses (fibers share its state without
// synchronisation), so the engine is compiled without it and CMake sets the macro.

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if PACKPROOF_SIMT_THREAD_SANITIZER
#include <sanitizer/tsan_interface.h>

extern "C" {
// Exported by the run-time library, absent from its header.
void __tsan_func_entry(void* caller);
void __tsan_func_exit();
void __tsan_read_range(void* address, unsigned long bytes);
void __tsan_write_range(void* address, unsigned long bytes);
}
#endif

namespace packproof::simt {

#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;

inline void poison(void* address, std::size_t bytes) {
  __asan_poison_memory_region(address, bytes);
}

inline void unpoison(void* address, std::size_t bytes) {
  __asan_unpoison_memory_region(address, bytes);
}
#else
inline constexpr bool kAddressSanitizer = false;

inline void poison(void*, std::size_t) {}

inline void unpoison(void*, std::size_t) {}
#endif

#if PACKPROOF_SIMT_THREAD_SANITIZER
inline constexpr bool kThreadSanitizer = true;

/// All that the running fiber did happens before what follows an acquire of the same object.
inline void happens_before(void* object) { __tsan_release(object); }

inline void happens_after(void* object) { __tsan_acquire(object); }

/// The running fiber reads memory that only the engine touches; `caller` is an instruction of the
/// kernel, for the report.
inline void observe_read(const void* address, std::size_t bytes, void* caller) {
  __tsan_func_entry(caller);
  __tsan_read_range(const_cast<void*>(address), bytes);
  __tsan_func_exit();
}

/// The same of memory that it writes.
inline void observe_write(void* address, std::size_t bytes, void* caller) {
  __tsan_func_entry(caller);
  __tsan_write_range(address, bytes);
  __tsan_func_exit();
}

/// Ranges that somebody reads and writes on a thread's behalf.
struct ObservedCopy {
  void* destination;
  std::size_t bytes;
  const void* source;
  std::size_t source_bytes;
  void* caller;
};

/// `agent` (another thread to ThreadSanitizer) performs the accesses of `copy`, after all that the
/// running fiber did and before what follows an acquire of `done`.
inline void act_as_agent(void* agent, void* start, void* done, const ObservedCopy& copy) {
  void* const self = __tsan_get_current_fiber();
  __tsan_release(start);
  __tsan_switch_to_fiber(agent, __tsan_switch_to_fiber_no_sync);
  __tsan_acquire(start);
  __tsan_func_entry(copy.caller);
  if (copy.source_bytes > 0) __tsan_read_range(const_cast<void*>(copy.source), copy.source_bytes);
  __tsan_write_range(copy.destination, copy.bytes);
  __tsan_func_exit();
  __tsan_release(done);
  __tsan_switch_to_fiber(self, __tsan_switch_to_fiber_no_sync);
}
#else
inline constexpr bool kThreadSanitizer = false;

inline void happens_before(void*) {}

inline void happens_after(void*) {}

inline void observe_read(const void*, std::size_t, void*) {}

inline void observe_write(void*, std::size_t, void*) {}
#endif

}  // namespace packproof::simt
