#include "harness/run/shrinking.h"

#include "harness/core/case_text.h"
#include "property_tests/generators/case_source.h"

namespace packproof {
namespace {

const CheckResult* first_nonconforming(const CaseResult& result) {
  for (const CheckResult& check : result.checks) {
    if (is_nonconforming(check.outcome)) return &check;
  }
  return nullptr;
}

/// A hang costs its time limit at every try; a crash costs a restart.
ShrinkLimits limits_for(OutcomeKind outcome) {
  ShrinkLimits limits;
  if (outcome == OutcomeKind::kTimeout) limits.max_tries = 4;
  return limits;
}

bool worth_shrinking(OutcomeKind outcome) {
  return outcome == OutcomeKind::kFail || outcome == OutcomeKind::kCrash ||
         outcome == OutcomeKind::kTimeout;
}

}  // namespace

CaseResult run_and_shrink(const CaseSpec& spec, Candidate& candidate,
                          const reference::Reference& reference, const CaseOptions& options) {
  CaseResult result = run_case(spec, candidate, reference, options);
  const CheckResult* failure = first_nonconforming(result);
  if (failure == nullptr || !worth_shrinking(failure->outcome)) return result;
  CaseOptions narrow = options;
  narrow.checks = {failure->check};
  const auto still_fails = [&](const CaseSpec& smaller) {
    const CaseResult run = run_case(smaller, candidate, reference, narrow);
    const CheckResult* same = first_nonconforming(run);
    return same != nullptr && same->check == failure->check && same->outcome == failure->outcome;
  };
  const ShrinkResult shrunk = shrink_case(spec, still_fails, limits_for(failure->outcome));
  if (shrunk.accepted > 0) result.shrunk = to_text(shrunk.spec);
  return result;
}

}  // namespace packproof
