#include "harness/worker/float_mode.h"

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

namespace packproof {

#if defined(__SSE__)

namespace {

constexpr unsigned kExceptionFlags = 0x3F;

}  // namespace

FloatMode::FloatMode() : saved_(_mm_getcsr()) {}

bool FloatMode::restore() {
  const unsigned found = _mm_getcsr();
  _mm_setcsr(saved_);
  return ((found ^ saved_) & ~kExceptionFlags) != 0;
}

#else

FloatMode::FloatMode() = default;

bool FloatMode::restore() { return false; }

#endif

}  // namespace packproof
