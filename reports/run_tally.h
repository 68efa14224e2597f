#pragma once

#include "harness/core/outcome.h"

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <tuple>
#include <vector>

namespace packproof {

inline constexpr std::size_t kOutcomeKinds = static_cast<std::size_t>(OutcomeKind::kNotRun) + 1;

using OutcomeCounts = std::array<int64_t, kOutcomeKinds>;

/// Cases of one operation.
struct OperationTally {
  int64_t cases = 0;
  int64_t passed = 0;         ///< Outcome PASS or QUALITY_WARNING.
  int64_t nonconforming = 0;  ///< Outcomes that make the run end with exit code 1.
  double worst_budget = 0.0;  ///< Largest share used; infinite or NaN counts as worst.
  std::string worst_check;    ///< Empty when no check of the operation has a budget.
  std::map<std::string, int64_t> variants;  ///< Kernel variants that ran, with their cases.

  int64_t others() const { return cases - passed - nonconforming; }
};

/// One relation between two runs (packed and alone, and so on) over the cases of an operation.
struct RelationTally {
  int64_t cases = 0;  ///< In which the check ran and passed or failed.
  int64_t failed = 0;
  double worst_budget = 0.0;  ///< 0: no bit differed in any of them.
};

/// A non-conforming check, and one that the machine or packproof itself could not finish.
struct Finding {
  const CaseResult* result;
  const CheckResult* check;
};

/// Why checks gave no verdict: outcome, check, reason.
using ReasonKey = std::tuple<OutcomeKind, std::string, std::string>;

/// Everything a summary says, counted once.
struct RunTally {
  std::map<std::string, OperationTally> operations;
  OutcomeCounts cases{};                 ///< By the worst outcome of each case.
  OutcomeCounts checks{};                ///< By the outcome of each check.
  std::vector<Finding> failures;         ///< In the order of the run.
  std::vector<Finding> faults;           ///< RESOURCE and INTERNAL_ERROR.
  std::map<ReasonKey, int64_t> reasons;  ///< Exact counts of checks without a verdict.
  std::map<std::string, std::map<std::string, RelationTally>> relations;  ///< Check -> operation.
  double seconds = 0.0;

  int64_t total_cases() const;
  int64_t total_nonconforming() const;  ///< Cases.
};

/// `results` must outlive the tally, which points into it.
RunTally tally(std::span<const CaseResult> results);

/// True for outcomes that say nothing of the candidate, because the machine or packproof itself could
/// not finish the check: without a failure they make the run end with exit code 4.
bool is_fault(OutcomeKind kind);

/// True for a case that has to run again: a check of it ended in such a fault, and none failed.
bool is_unfinished(const CaseResult& result);

/// Checks that compare two runs of the candidate, and so show how strongly it keeps sequences apart.
bool is_relation(const std::string& check);

}  // namespace packproof
