#pragma once

#include "kernels/common/math.cuh"
#include "kernels/common/platform.cuh"

namespace packproof {

/// act(bias + sum_j weight[j] taps[j]), taps oldest first (spec 2.5, step 3). A tap that is dropped
/// is passed as 0, so a row behind zero padding and a row at a sequence start have the same bits.
template <int kWidth>
__device__ __forceinline__ float convolve(const float (&weight)[kWidth],
                                          const float (&taps)[kWidth], float bias, bool silu) {
  float sum = bias;
#pragma unroll
  for (int j = 0; j < kWidth; ++j) sum = fmaf(weight[j], taps[j], sum);
  return silu ? silu_f32(sum) : sum;
}

}  // namespace packproof
