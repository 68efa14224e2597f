#pragma once

#include "harness/truth/tally.h"
#include "reference/reference.h"

namespace packproof {

/// Compares the ops of ops.h5, forward and gradients, as packed calls: gated_delta_rule as the
/// recurrent and as the chunk op (each against both stored forms), causal_conv1d, gated_rms_norm.
void walk_op_cases(const reference::Reference& reference, OracleTally& tally,
                   const OracleProgress& progress);

}  // namespace packproof
