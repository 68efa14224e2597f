#pragma once

namespace packproof {

/// Remembers the floating-point control word of this thread (x86: MXCSR without its sticky
/// exception flags), to be put back after code that is not ours. On other machines nothing is
/// remembered and no change is ever seen.
class FloatMode {
 public:
  FloatMode();
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

  ~FloatMode() { restore(); }

  /// Puts the remembered mode back; true if it had been changed.
  bool restore();

 private:
  unsigned saved_ = 0;
};

}  // namespace packproof
