#pragma once

#include "reference/delta_rule_problem.h"
#include "reference/gated_delta_rule_strip.h"

#include <vector>

namespace packproof::reference {

/// Units of float32 that an in-kernel l2norm of `key_dim` values may err by, relative and per
/// element (harness/oracle/README.md).
double l2norm_units(int64_t key_dim);

/// Relative error of exp(g) in float32 when g itself errs by `g_error`.
double decay_error(double g, double g_error);

/// Coefficients of the forward error recursion for tokens `rows` of a value head, whose g errs by
/// `g_error` [R, Hv] (null: g is given, without error).
void forward_error_steps(const DeltaRuleProblem& problem, const double* g_error, int64_t value_head,
                         RowSpan rows, std::vector<ErrorStep>& steps);

/// Error of g [R, Hv] as the chunked form sees it: the decay between two tokens is a difference of
/// running sums over the chunk, which lose what is small against them. Added to `g_error` (null:
/// none).
std::vector<double> chunked_g_error(const DeltaRuleProblem& problem, const double* g_error,
                                    int64_t chunk_size);

/// Units of float32 of `ChunkGradients::g_magnitude` that the chunked form's gradient of g loses.
double chunked_g_gradient_units(const DeltaRuleProblem& problem, int64_t chunk_size);

}  // namespace packproof::reference
