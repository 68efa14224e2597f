#pragma once

#include "reference/model_config.h"

#include <ATen/ATen.h>

namespace packproof::reference {

/// Cosines and sines of the rotary angles, f64 [B, L, d_r / 2] (spec 1.2, 2.4).
struct RotaryTable {
  at::Tensor cos;
  at::Tensor sin;
};

/// `positions` is i64 [B, L], or [3, B, L] (temporal, height, width), which are interleaved over
/// the frequencies by `mrope_section`. `float32` rounds frequencies, angles and their cosines to
/// f32, as the library does.
RotaryTable rotary_table(const ModelConfig& config, const at::Tensor& positions, bool float32);

/// Rotates the first d_r components of x [B, L, H, d], half-split pairs (i, i + d_r / 2); the rest
/// passes through.
at::Tensor apply_rotary(const at::Tensor& x, const RotaryTable& table);

}  // namespace packproof::reference
