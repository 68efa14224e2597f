#pragma once

#include "harness/candidate/candidate.h"
#include "harness/core/case_spec.h"
#include "harness/core/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace packproof {

/// Random packings of chosen ops, for a candidate that is slow or that takes few shapes.
struct RandomPlanOptions {
  std::vector<Op> ops{};
  std::vector<Direction> directions{};  ///< Empty: those that the candidate offers.
  int64_t count = 16;                   ///< Cases per op and direction.
  int64_t max_tokens = 256;
  uint64_t seed = 1;
  std::string
      fixed{};  ///< Fields as in a case line that every case gets: "hk=1 hv=1 k=16 dtype=f32".
};

/// Layouts and gate regimes take turns, dtypes go round those that the candidate takes. The same
/// plan for the same options and capabilities. An op that the candidate does not offer, and a field
/// that the op does not have, are usage errors.
Result<std::vector<CaseSpec>> make_random_plan(const RandomPlanOptions& options,
                                               const CandidateInfo& candidate);

}  // namespace packproof
