#pragma once

#include "kernels/simt/thread.h"

#include <cstdint>

namespace packproof::simt {

// Host twins of bulk_copy.cuh. By bit 1 of the schedule seed a copy happens either when it is
// started, or when its barrier is waited for: what is overwritten or read too early then shows. A
// barrier that is never to end its phase is a fault of the thread that waits.

void bulk_barrier_init(uint64_t* barrier);

void bulk_expect(uint64_t* barrier, int bytes, Site site);

void bulk_copy(uint64_t* barrier, void* shared, const void* global, int bytes, Site site);

void bulk_wait(uint64_t* barrier, int phase, Site site);

}  // namespace packproof::simt
