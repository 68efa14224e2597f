#pragma once

#include "kernels/simt/thread.h"

namespace packproof::simt {

// Host twins of kernels/common/reduce.cuh: the device's shuffle tree, evaluated in one meeting.

float warp_sum(float value, int width, Site site);

float warp_max(float value, int width, float (*combine)(float, float), Site site);

/// Also a barrier of the block, as on the device.
float block_sum(float value, Site site);

}  // namespace packproof::simt
