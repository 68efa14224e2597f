#pragma once

#include "harness/core/outcome.h"
#include "harness/core/packing.h"
#include "harness/run/stack_limits.h"

#include <string>
#include <vector>

namespace packproof {

/// Names of `gradients` as the backward pass reaches them: output head, final norm, layers from the
/// last to the first, in each the feed-forward block before the mixer; the embeddings last.
std::vector<std::string> backward_order(const std::map<std::string, Tensor>& gradients);

/// The check `gradients`: `outputs` against the packed reference's gradients; names the first
/// parameter that differs, in backward order, and for the embedded inputs the sequence and token.
CheckResult judge_gradients(const TensorMap& outputs, const StackTruth& truth,
                            const StackLimits& limits, const Packing& packing,
                            bool tied_embeddings);

/// "sequence 3, token 17" of a row of the pack.
std::string place_of(const Packing& packing, int64_t row);

}  // namespace packproof
