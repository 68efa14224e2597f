#include "harness/run/case_runner.h"

#include "harness/core/case_text.h"
#include "harness/run/checks.h"

namespace packproof {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Once the process died or hung under a case, its other checks would only repeat that.
bool ends_the_case(OutcomeKind outcome) {
  switch (outcome) {
    case OutcomeKind::kCrash:
    case OutcomeKind::kTimeout:
    case OutcomeKind::kDeviceLost:
    case OutcomeKind::kResource:
      return true;
    default:
      return false;
  }
}

/// A call beyond what the candidate declares is held to being right if accepted, to no promise.
std::optional<std::string> why_not(const Check& check, const CaseContext& context) {
  if (context.undeclared.empty() || check.name == kUndeclaredCheck) {
    return check.skip_reason(context);
  }
  return "beyond what the candidate declares: " + context.undeclared;
}

CheckResult failed(std::string check, OutcomeKind outcome, std::string detail) {
  return {.check = std::move(check), .outcome = outcome, .detail = std::move(detail)};
}

}  // namespace

CaseResult run_case(const CaseSpec& spec, Candidate& candidate,
                    const reference::Reference& reference, const CaseOptions& options) {
  CaseResult result;
  result.id = to_text(spec);
  Result<PackedCall> packed = build_case(spec);
  if (!packed.ok()) {
    result.checks.push_back(failed("call", OutcomeKind::kInternalError, packed.error().message));
    return result;
  }
  Realised realised = realise(*packed);
  CallOptions call_options{.poison = kPoison, .time_limit = options.time_limit};
  CallResult base = candidate.call(realised.call, call_options);
  result.variant = base.variant;
  const Capability* capability = candidate.info().find(spec.op, spec.direction);
  std::string undeclared =
      capability == nullptr ? "" : capability->beyond(spec.dtype, realised.call);
  if (base.status != CallStatus::kOk) {
    result.checks.push_back(base.status == CallStatus::kNotSupported || undeclared.empty()
                                ? result_of_failed_call("call", base)
                                : result_of_undeclared_call(undeclared, base));
    return result;
  }
  const double roundoff =
      capability == nullptr ? kFloat32Roundoff : capability->unit_roundoff(spec.dtype);
  Result<Expectation> expectation = expect(realised, reference, roundoff);
  if (!expectation.ok()) {
    result.checks.push_back(
        failed("call", OutcomeKind::kInternalError, expectation.error().message));
    return result;
  }
  const CaseContext context{
      *packed,   std::move(realised), std::move(*expectation), std::move(base), candidate,
      reference, call_options,        std::move(undeclared)};
  bool ended = false;
  for (const Check& check : all_checks()) {
    const std::string name(check.name);
    if (!options.checks.empty() && !options.checks.contains(name)) continue;
    if (ended) {
      result.checks.push_back(failed(name, OutcomeKind::kNotRun, "the case had ended"));
      continue;
    }
    if (const auto reason = why_not(check, context)) {
      result.checks.push_back(failed(name, OutcomeKind::kNotRun, *reason));
      continue;
    }
    const auto start = std::chrono::steady_clock::now();
    result.checks.push_back(check.run(context));
    result.checks.back().seconds = seconds_since(start);
    ended = ends_the_case(result.checks.back().outcome);
  }
  return result;
}

}  // namespace packproof
