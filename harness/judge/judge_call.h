#pragma once

#include "harness/core/outcome.h"
#include "harness/judge/call_mapping.h"
#include "harness/judge/sequences.h"
#include "reference/reference.h"

#include <vector>

namespace packproof {

/// Compares what a call returned with every sequence of `truth` alone, by the budgets of every other
/// check. Results, one per check:
///   boundaries  what the call was told lets sequences into each other; names the first and, where
///               the numbers show it, the first token that differs from the sequence alone
///   output, final_state, gradients
/// A leak that the boundaries explain is told once: the other checks are then NOT_RUN.
std::vector<CheckResult> judge_call(const MappedCall& call, const Sequences& truth,
                                    const reference::Reference& reference);

}  // namespace packproof
