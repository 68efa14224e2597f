#pragma once

#include "kernels/simt/thread.h"

namespace packproof::simt {

// Host twin of cp.async. PTX leaves open when a copy happens between its start and the matching wait,
// so there are two modes, picked by bit 1 of the schedule seed:
//   0: at the wait; until then the destination holds 0xff bytes (NaN), and the source is read late;
//   1: at once.
// ThreadSanitizer sees, in both, an access by somebody else who starts at the call and whom only the
// matching wait orders before the thread: a missing wait is a race, also of the thread with itself.

void copy_async(void* shared, const void* global, int bytes, int source_bytes, Site site);
void copy_async_commit();
void copy_async_wait(int pending);

}  // namespace packproof::simt
