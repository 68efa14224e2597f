#include "reports/run_tally.h"

#include "reports/run_manifest.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>

namespace packproof {
namespace {

constexpr std::array<std::string_view, 8> kRelations{
    "alone",     "right_padded",  "left_padded", "permuted",
    "causality", "cut_and_carry", "decode",      "schedule",
};

std::size_t index_of(OutcomeKind kind) { return static_cast<std::size_t>(kind); }

bool gives_verdict(OutcomeKind kind) {
  return kind == OutcomeKind::kPass || kind == OutcomeKind::kQualityWarning ||
         is_nonconforming(kind);
}

/// NaN is worse than any number: a share that cannot be computed is no share.
bool worse(double share, double than) {
  if (std::isnan(than)) return false;
  return std::isnan(share) || share > than;
}

void add_check(const std::string& operation, const CaseResult& result, const CheckResult& check,
               RunTally& run) {
  ++run.checks[index_of(check.outcome)];
  if (std::isfinite(check.seconds)) run.seconds += check.seconds;
  if (is_nonconforming(check.outcome)) run.failures.push_back({&result, &check});
  if (is_fault(check.outcome)) run.faults.push_back({&result, &check});
  if (!gives_verdict(check.outcome) && !is_fault(check.outcome)) {
    ++run.reasons[{check.outcome, check.check, check.detail}];
  }
  OperationTally& tally = run.operations[operation];
  if (worse(check.budget_used, tally.worst_budget)) {
    tally.worst_budget = check.budget_used;
    tally.worst_check = check.check;
  }
  if (is_relation(check.check) && gives_verdict(check.outcome)) {
    RelationTally& relation = run.relations[check.check][operation];
    ++relation.cases;
    if (is_nonconforming(check.outcome)) ++relation.failed;
    if (worse(check.budget_used, relation.worst_budget)) {
      relation.worst_budget = check.budget_used;
    }
  }
}

}  // namespace

bool is_fault(OutcomeKind kind) {
  return kind == OutcomeKind::kResource || kind == OutcomeKind::kInternalError;
}

bool is_unfinished(const CaseResult& result) {
  if (is_nonconforming(outcome_of(result))) return false;
  return std::ranges::any_of(result.checks,
                             [](const CheckResult& check) { return is_fault(check.outcome); });
}

bool is_relation(const std::string& check) {
  return std::ranges::find(kRelations, std::string_view(check)) != kRelations.end();
}

int64_t RunTally::total_cases() const {
  return std::accumulate(cases.begin(), cases.end(), int64_t{0});
}

int64_t RunTally::total_nonconforming() const {
  int64_t total = 0;
  for (std::size_t kind = 0; kind < kOutcomeKinds; ++kind) {
    if (is_nonconforming(static_cast<OutcomeKind>(kind))) total += cases[kind];
  }
  return total;
}

RunTally tally(std::span<const CaseResult> results) {
  RunTally run;
  for (const CaseResult& result : results) {
    const std::string operation = operation_of(result.id);
    const OutcomeKind outcome = outcome_of(result);
    OperationTally& counts = run.operations[operation];
    ++counts.cases;
    if (!result.variant.empty()) ++counts.variants[result.variant];
    ++run.cases[index_of(outcome)];
    if (outcome == OutcomeKind::kPass || outcome == OutcomeKind::kQualityWarning) ++counts.passed;
    if (is_nonconforming(outcome)) ++counts.nonconforming;
    for (const CheckResult& check : result.checks) add_check(operation, result, check, run);
  }
  return run;
}

}  // namespace packproof
