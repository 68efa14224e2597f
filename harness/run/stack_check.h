#pragma once

#include "harness/candidate/candidate.h"
#include "harness/core/outcome.h"
#include "reference/reference.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace packproof {

/// A whole model run by the candidate itself, from a checkpoint's folder, on one batch.
struct StackCheckSpec {
  std::string name;
  std::filesystem::path folder;
  std::vector<int64_t> lens{1, 1, 1, 5, 2, 1, 4, 1};
  std::string mode = "both";  ///< Which metadata the model receives: PROTOCOL.md, model_forward.
  DType dtype = DType::kF32;
  bool gradients = false;  ///< Compare the gradients of the loss too.
  uint64_t seed = 0;
  std::chrono::milliseconds time_limit{600000};
};

/// How reports name the check: unique within a run.
std::string stack_check_id(const StackCheckSpec& spec);

/// Compares with every sequence alone in the reference: `layers` names the first layer, sequence and
/// token that is wrong and, where withheld metadata reproduce the numbers, what leaks and what is
/// missing; `logits`, `loss` and `gradients` judge the end. A refusal is NOT_SUPPORTED with the
/// library's sentence. Limits: stack_limits.h.
CaseResult check_stack(const reference::Model& model, const StackCheckSpec& spec,
                       Candidate& candidate, const reference::Reference& reference);

}  // namespace packproof
