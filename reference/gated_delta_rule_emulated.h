#pragma once

#include "reference/delta_rule_problem.h"
#include "reference/rounding.h"

namespace packproof::reference {

/// The recurrence of spec 3.1 with the roundings of a kernel of lower precision at the points that
/// `rounding` names (`operand`: decayed state, prediction and correction). Sums stay exact, so the
/// distance to the unrounded rule shows what those roundings alone cost. `output` [R, Hv, V],
/// `final_state` [N, Hv, K, V] or null.
void gated_delta_rule_emulated(const DeltaRuleProblem& problem, double* output, double* final_state,
                               const DeltaRuleRounding& rounding);

/// A recurrent kernel of `dtype` tensors: all inside in float32, one rounding at the end.
DeltaRuleRounding recurrent_rounding(Format dtype);

/// A chunked kernel of `dtype` tensors (spec 6.1): normalised q and k and every factor of a matrix
/// product in `dtype`, decays and carried state in float32. Float32 tensors go through tf32.
DeltaRuleRounding chunked_rounding(Format dtype);

}  // namespace packproof::reference
