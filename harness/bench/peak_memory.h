#pragma once

#include <cstdint>

namespace packproof {

/// Lets the peak of this process start anew from what it holds now.
void reset_peak_memory();

/// The largest resident size since the last reset, in bytes; 0 where the system does not say.
int64_t peak_memory();

}  // namespace packproof
