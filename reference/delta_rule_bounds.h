#pragma once

#include "reference/delta_rule_problem.h"
#include "reference/gated_delta_rule_strip.h"

#include <vector>

namespace packproof::reference {

/// Units of float32 that an in-kernel l2norm of `key_dim` values may err by, relative and per
/// element (harness/oracle/ERROR_BUDGETS.md).
double l2norm_units(int64_t key_dim);

/// Relative error of exp(g) in float32 when g itself errs by `g_error`.
double decay_error(double g, double g_error);

/// Coefficients of the forward error recursion for tokens `rows` of a value head, whose g errs by
/// `g_error` [R, Hv] (null: g is given, without error).
void forward_error_steps(const DeltaRuleProblem& problem, const double* g_error, int64_t value_head,
                         RowSpan rows, std::vector<ErrorStep>& steps);

}  // namespace packproof::reference
