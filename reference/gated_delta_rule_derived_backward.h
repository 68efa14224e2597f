#pragma once

#include "reference/delta_rule_problem.h"

namespace packproof::reference {

/// Gradients of the delta rule's inputs; arrays of the caller, zeroed, null where not wanted. Those
/// of q and k are with respect to the vectors as given: through the l2norm where it is on.
struct DeltaRuleGradients {
  double* q = nullptr;              ///< [R, Hk, K].
  double* k = nullptr;              ///< [R, Hk, K].
  double* v = nullptr;              ///< [R, Hv, V].
  double* g = nullptr;              ///< [R, Hv].
  double* beta = nullptr;           ///< [R, Hv].
  double* initial_state = nullptr;  ///< [N, Hv, K, V].
};

/// What the gradients are driven by.
struct DeltaRuleCotangents {
  StoredValues d_output;                  ///< [R, Hv, V].
  const double* d_final_state = nullptr;  ///< [N, Hv, K, V] or null for zeros.
};

/// Backward of the recurrent form by the formulas of spec 3.3 and 3.5, in plain C++. States are
/// kept at every sqrt(L)-th token of a sequence of L and formed again in between, so memory grows
/// with sqrt(L). Threads over sequences and key heads.
///
/// With `bounds`, the same places receive bounds on the float32 error of every gradient, q and k
/// through the l2norm, from the recursions of harness/oracle/README.md; `g_error` [R, Hv] is
/// the error of g (null: none).
void gated_delta_rule_derived_backward(const DeltaRuleProblem& problem,
                                       const DeltaRuleCotangents& cotangents,
                                       const DeltaRuleGradients& gradients,
                                       const DeltaRuleGradients* bounds = nullptr,
                                       const double* g_error = nullptr);

}  // namespace packproof::reference
