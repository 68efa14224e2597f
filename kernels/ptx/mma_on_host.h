#pragma once

#include "kernels/simt/thread.h"

#include <cstdint>

namespace packproof::simt {

enum class MmaShape { kM16N8K16Bf16, kM16N8K16F16, kM16N8K8Tf32 };

/// Host twin of mma.sync: one lane's fragments. The layout of the fragments is PTX's; the order and
/// rounding of the sum are not defined there, so there are two, picked by bit 0 of the schedule seed:
///   0: from the accumulator on, k ascending, one fused multiply-add each, rounded to nearest even;
///   1: as tensor cores are observed to do, in steps of 8 products (tf32: 4): the products, exact,
///      and the accumulator are cut towards zero at 2^-24 of the largest binade among them, added
///      exactly, and the sum is cut to float.
/// Both are exact, hence equal, where every partial sum is an integer below 2^24.
void mma(MmaShape shape, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site);

}  // namespace packproof::simt
