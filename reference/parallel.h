#pragma once

#include <cstdint>
#include <functional>

namespace packproof::reference {

/// Calls `task(i)` once for every i in [0, count), on up to `threads` threads (0: one per core),
/// the calling one among them. Tasks are handed out in order; they must not throw.
void run_parallel(int64_t count, int threads, const std::function<void(int64_t)>& task);

/// Threads that `run_parallel` uses for 0.
int default_threads();

}  // namespace packproof::reference
