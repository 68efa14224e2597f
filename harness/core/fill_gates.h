#pragma once

#include "harness/core/case_spec.h"
#include "harness/core/packing.h"
#include "harness/core/tensor.h"

#include <cstdint>
#include <vector>

namespace packproof {

/// Log decays of a regime, f32. The shape ends in Hv and holds the packing's rows; slack rows hold
/// NaN. `kDefaultInit` is the model's own initialisation, A uniform on (0.01, 16) per head, dt_bias
/// 1 and a normal (spec 2.1); `kSpike` puts its -100 at one random token of every sequence.
Tensor fill_log_decays(uint64_t seed, GateRegime regime, std::vector<int64_t> shape,
                       const Packing& packing);

/// What a kernel makes the log decay from: g = -exp(A_log) softplus(a + dt_bias).
struct GateParameters {
  Tensor a;        ///< `dtype`, shape as asked.
  Tensor A_log;    ///< f32 [Hv].
  Tensor dt_bias;  ///< f32 [Hv].
};

/// Parameters that put the resulting g into the regime: `kSlow`, `kMixedZeros`, `kStrong` and
/// `kSpike` keep their ranges after `a` was rounded to `dtype`; an exact zero is a softplus argument
/// of -200, which float32 rounds to g = 0 (in double it is -1e-87, and exp(g) = 1 either way).
GateParameters fill_gate_parameters(uint64_t seed, GateRegime regime, DType dtype,
                                    std::vector<int64_t> shape, const Packing& packing);

}  // namespace packproof
