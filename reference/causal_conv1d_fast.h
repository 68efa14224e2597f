#pragma once

#include "reference/ops.h"

#include <cstdint>
#include <span>

#include <ATen/ATen.h>

namespace packproof::reference {

/// `causal_conv1d` (ops.h) without bias, with SiLU, in plain C++ for calls that want no gradients:
/// x [B, L, C], weight [C, W], `initial_state` [N, C, W - 1] or undefined. One pass over the rows
/// instead of a gather per tap; threads over rows.
ConvResult causal_conv1d_fast(const at::Tensor& x, const at::Tensor& weight,
                              const at::Tensor& initial_state, std::span<const int64_t> cu_seqlens);

}  // namespace packproof::reference
