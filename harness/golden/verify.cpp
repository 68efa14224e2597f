#include "harness/golden/verify.h"

#include "harness/golden/diff.h"
#include "harness/run/judge.h"

#include <map>
#include <utility>

namespace packproof {

namespace {

using fixtures::Golden;
using fixtures::GoldenOutput;

CheckResult verdict(OutcomeKind outcome, std::string detail, double budget_used = 0.0) {
  return {"golden", outcome, std::move(detail), budget_used, 0.0};
}

/// Compares a run's outputs with the recorded ones. The inputs are known to be the same.
CheckResult compare_run(const Golden& golden, const GoldenRun& run) {
  const bool bitwise = same_build(golden.provenance, run.provenance);
  double worst = 0.0;
  for (const auto& [name, recorded] : golden.outputs) {
    const auto found = run.outputs.find(name);
    if (found == run.outputs.end())
      return verdict(OutcomeKind::kFail, "the run gave no output '" + name + "'");
    const Tensor& got = found->second.values;
    if (got.shape() != recorded.values.shape() || got.dtype() != recorded.values.dtype())
      return verdict(OutcomeKind::kFail, "output '" + name + "': expected " +
                                             std::string(name_of(recorded.values.dtype())) +
                                             shape_text(recorded.values.shape()) + ", found " +
                                             std::string(name_of(got.dtype())) +
                                             shape_text(got.shape()));
    const OutputDrift drift = drift_of(name, recorded, got);
    if (bitwise && drift.different > 0)
      return verdict(OutcomeKind::kFail,
                     "the same library on the same device gave other bits: " + drift.first_place);
    const double share = drift.worst / golden_limit(recorded);
    if (!(share <= 1.0))
      return verdict(
          OutcomeKind::kFail,
          "outside the recorded budget (" + budget_text(share) + "): " + drift.worst_place, share);
    worst = std::max(worst, share);
  }
  const bool unknown = golden.provenance.identity.empty() || run.provenance.identity.empty();
  return verdict(OutcomeKind::kPass,
                 bitwise   ? "bitwise equal"
                 : unknown ? "within the recorded budget"
                           : "another build, within the recorded budget",
                 worst);
}

}  // namespace

double golden_limit(const GoldenOutput& golden) { return 1.0 + golden.budget_used; }

bool same_build(const fixtures::GoldenProvenance& a, const fixtures::GoldenProvenance& b) {
  return !a.identity.empty() && a.identity == b.identity && a.device == b.device &&
         a.variant == b.variant && a.flags == b.flags;
}

CheckResult verify_golden(const std::filesystem::path& path, const GoldenSubjects& subjects,
                          const VerifyOptions& options) {
  const Result<Golden> golden = fixtures::read_golden(path);
  if (!golden) return verdict(OutcomeKind::kFail, golden.error().message);
  if (options.integrity_only) return verdict(OutcomeKind::kPass, "intact");
  const Result<GoldenRun> run = run_golden(*golden, path.parent_path(), subjects, false);
  if (!run) {
    const bool machine = run.error().code == Code::kInfrastructure;
    return verdict(machine ? OutcomeKind::kResource : OutcomeKind::kFail, run.error().message);
  }
  if (run->inputs_sha256 != golden->inputs_sha256)
    return verdict(OutcomeKind::kFail, "the inputs of '" + golden->case_line +
                                           "' are no longer those of the recording: expected "
                                           "SHA-256 " +
                                           golden->inputs_sha256 + ", found " + run->inputs_sha256);
  if (run->failure.has_value()) return *run->failure;
  return compare_run(*golden, *run);
}

std::string verify_table(const std::vector<VerifiedFile>& files) {
  std::string text;
  std::map<OutcomeKind, int> counts;
  for (const VerifiedFile& file : files) {
    ++counts[file.result.outcome];
    text += name_of(file.result.outcome);
    text += "  ";
    // The sentence about a damaged file names it already.
    const std::string path = file.path.string();
    if (file.result.detail.find(path) == std::string::npos) text.append(path).append(": ");
    text += file.result.detail;
    if (file.result.budget_used > 0.0)
      text.append(" (").append(budget_text(file.result.budget_used)).append(")");
    text += '\n';
  }
  text.append(std::to_string(files.size()))
      .append(files.size() == 1 ? " golden file:" : " golden files:");
  for (const auto& [outcome, count] : counts)
    text.append(" ").append(std::to_string(count)).append(" ").append(name_of(outcome));
  return text + "\n";
}

}  // namespace packproof
