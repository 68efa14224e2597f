#pragma once

#include "harness/run/case_runner.h"

namespace packproof {

/// Judges a case and, when it does not conform, looks for a smaller case in which the same check
/// ends with the same outcome; `shrunk` then holds its line.
CaseResult run_and_shrink(const CaseSpec& spec, Candidate& candidate,
                          const reference::Reference& reference, const CaseOptions& options);

}  // namespace packproof
