#pragma once

#include "harness/core/case_spec.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace packproof {

enum class OutcomeKind : uint8_t {
  kPass,
  kFail,
  kQualityWarning,
  kNotSupported,
  kUntrusted,
  kWaived,
  kUnexpectedPass,
  kTimeout,
  kCrash,
  kDeviceLost,
  kResource,
  kInternalError,
  kNotRun,
};

std::string_view name_of(OutcomeKind kind);      ///< "PASS", "FAIL", ...
std::string_view sentence_of(OutcomeKind kind);  ///< One sentence for the reader.

/// True for outcomes that make the run end with exit code 1.
bool is_nonconforming(OutcomeKind kind);

/// One check on one case.
struct CheckResult {
  std::string check;  ///< Name as in `packproof list checks`.
  OutcomeKind outcome = OutcomeKind::kNotRun;
  std::string detail{};      ///< One sentence: what was expected and what was found.
  double budget_used = 0.0;  ///< Largest error over its limit; 0 where no budget applies.
  double seconds = 0.0;
};

/// All checks on one case line.
struct CaseResult {
  std::string id;  ///< Case line, or a model check's name.
  std::string suite;
  std::string variant;  ///< Kernel variant that ran.
  std::vector<CheckResult> checks;
  std::string shrunk;  ///< Smallest failing case line found; empty if none.
};

/// The worst outcome over the checks.
OutcomeKind outcome_of(const CaseResult& result);

}  // namespace packproof
