#pragma once

#include "harness/candidate/candidate.h"
#include "harness/core/outcome.h"
#include "reference/reference.h"

#include <chrono>
#include <cstdint>
#include <set>
#include <string>

namespace packproof {

struct CaseOptions {
  std::chrono::milliseconds time_limit{20000};  ///< Per call.
  std::set<std::string> checks;                 ///< Names to run; empty means all.
};

/// Judges one case by every check that applies. Never throws; everything that goes wrong is an
/// outcome. A check that does not apply is NOT_RUN with its reason.
CaseResult run_case(const CaseSpec& spec, Candidate& candidate,
                    const reference::Reference& reference, const CaseOptions& options);

}  // namespace packproof
