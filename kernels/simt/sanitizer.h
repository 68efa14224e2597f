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
#else
inline constexpr bool kThreadSanitizer = false;

inline void happens_before(void*) {}

inline void happens_after(void*) {}
#endif

}  // namespace packproof::simt
