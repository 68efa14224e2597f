#include "harness/core/outcome.h"

#include <array>

namespace packproof {
namespace {

struct Row {
  OutcomeKind kind;
  std::string_view name;
  bool nonconforming;
  int severity;  ///< A case is as bad as its most severe check; proven violations come on top.
  std::string_view sentence;
};

constexpr std::array<Row, 13> kRows{{
    {OutcomeKind::kPass, "PASS", false, 2, "Every value was where the check expects it."},
    {OutcomeKind::kFail, "FAIL", true, 9, "The candidate broke the contract that the check tests."},
    {OutcomeKind::kQualityWarning, "QUALITY_WARNING", false, 4,
     "Within the contract, but worse than a careful implementation would be."},
    {OutcomeKind::kNotSupported, "NOT_SUPPORTED", false, 1,
     "The candidate refused the call with a reason, before any work."},
    {OutcomeKind::kUntrusted, "UNTRUSTED", false, 5,
     "The data are too thin for the check to mean anything."},
    {OutcomeKind::kWaived, "WAIVED", false, 3, "A known failure that a waiver covers."},
    {OutcomeKind::kUnexpectedPass, "UNEXPECTED_PASS", true, 8,
     "A waiver expects a failure here, but the check passed: the waiver is out of date."},
    {OutcomeKind::kTimeout, "TIMEOUT", true, 10, "No answer came within the time limit."},
    {OutcomeKind::kCrash, "CRASH", true, 11, "The candidate's process died during the call."},
    {OutcomeKind::kDeviceLost, "DEVICE_LOST", true, 12,
     "The device stopped answering and had to be opened anew."},
    {OutcomeKind::kResource, "RESOURCE", false, 6,
     "Memory or another resource of this machine did not suffice for the case."},
    {OutcomeKind::kInternalError, "INTERNAL_ERROR", false, 7,
     "packproof itself failed; the result says nothing about the candidate."},
    {OutcomeKind::kNotRun, "NOT_RUN", false, 0, "The check did not run."},
}};

const Row& row_of(OutcomeKind kind) { return kRows[static_cast<std::size_t>(kind)]; }

}  // namespace

std::string_view name_of(OutcomeKind kind) { return row_of(kind).name; }

std::string_view sentence_of(OutcomeKind kind) { return row_of(kind).sentence; }

bool is_nonconforming(OutcomeKind kind) { return row_of(kind).nonconforming; }

OutcomeKind outcome_of(const CaseResult& result) {
  OutcomeKind worst = OutcomeKind::kNotRun;
  for (const CheckResult& check : result.checks) {
    if (row_of(check.outcome).severity > row_of(worst).severity) worst = check.outcome;
  }
  return worst;
}

}  // namespace packproof
