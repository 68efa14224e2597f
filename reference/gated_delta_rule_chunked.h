#pragma once

#include "reference/delta_rule_problem.h"
#include "reference/gated_delta_rule_derived_backward.h"
#include "reference/rounding.h"

namespace packproof::reference {

/// The chunked form of the delta rule (spec 3.2) for any chunk size >= 1: a second opinion on the
/// recurrence that shares no arithmetic with it. Chunks restart at every sequence. `output`
/// [R, Hv, V] and `final_state` [N, Hv, K, V] (may be null) are arrays of the caller.
///
/// With `rounding` it is what a kernel of lower precision computes, sums apart, which stay exact.
void gated_delta_rule_chunked(const DeltaRuleProblem& problem, int64_t chunk_size, double* output,
                              double* final_state, const DeltaRuleRounding& rounding = {});

/// Its gradients (spec 3.4, and 3.5 for the l2norm); places and meaning as in
/// `gated_delta_rule_derived_backward`. Keeps the entry state of every chunk of a head.
/// `g_magnitude` [R, Hv], if not null, receives `ChunkGradients::g_magnitude`. With `rounding` as a
/// kernel of lower precision computes them.
void gated_delta_rule_chunked_backward(const DeltaRuleProblem& problem, int64_t chunk_size,
                                       const DeltaRuleCotangents& cotangents,
                                       const DeltaRuleGradients& gradients,
                                       double* g_magnitude = nullptr,
                                       const DeltaRuleRounding& rounding = {});

}  // namespace packproof::reference
