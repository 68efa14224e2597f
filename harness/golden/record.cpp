#include "harness/golden/record.h"

#include "harness/run/judge.h"

#include <array>
#include <ctime>
#include <string>
#include <system_error>
#include <utility>

namespace packproof {

namespace {

std::string today() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 16> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d", &utc);
  return text.data();
}

/// Whose fault it is that there is no golden.
Code code_of(OutcomeKind outcome) {
  if (outcome == OutcomeKind::kNotSupported) return Code::kNothingRan;
  return is_nonconforming(outcome) ? Code::kCandidate : Code::kInfrastructure;
}

/// Writes what a run gave as the golden of its subject.
Status write_run(GoldenRun run, const std::string& subject, const std::string& case_line,
                 const GoldenStamp& stamp, const std::filesystem::path& out) {
  if (run.failure.has_value())
    return Error{code_of(run.failure->outcome),
                 "no golden of '" + case_line + "': " + std::string(name_of(run.failure->outcome)) +
                     ": " + run.failure->detail};
  for (const auto& [name, output] : run.outputs)
    if (!(output.budget_used <= 1.0))
      return Error{Code::kCandidate, "no golden of '" + case_line +
                                         "': a golden must conform, output '" + name + "' uses " +
                                         budget_text(output.budget_used)};
  fixtures::Golden golden;
  golden.subject = subject;
  golden.case_line = case_line;
  golden.inputs_sha256 = std::move(run.inputs_sha256);
  golden.outputs = std::move(run.outputs);
  golden.provenance = std::move(run.provenance);
  golden.provenance.packproof = stamp.packproof;
  golden.provenance.date = stamp.date.empty() ? today() : stamp.date;
  golden.provenance.reason = stamp.reason;
  return fixtures::write_golden(out, golden);
}

/// Recording is for new files: other values for an old one are a blessing.
Status require_absent(const std::filesystem::path& out) {
  std::error_code code;
  if (!std::filesystem::exists(out, code)) return {};
  return usage_error("'" + out.string() +
                     "' exists: replace its values with 'packproof golden bless', or remove it");
}

}  // namespace

Status record_golden(const std::string& case_line, Candidate& candidate,
                     const reference::Reference& reference, const GoldenStamp& stamp,
                     const std::filesystem::path& out, const CallOptions& options) {
  PACKPROOF_CHECK_OK(require_absent(out));
  PACKPROOF_TRY(GoldenRun run, op_runner(candidate, &reference, options)(case_line, true));
  return write_run(std::move(run), "op", case_line, stamp, out);
}

Status record_model_golden(const std::filesystem::path& folder,
                           const reference::Reference& reference, const GoldenStamp& stamp,
                           const std::filesystem::path& out) {
  PACKPROOF_CHECK_OK(require_absent(out));
  const std::string line = model_line(folder, out.parent_path());
  PACKPROOF_TRY(GoldenRun run, model_runner(reference, out.parent_path())(line, true));
  return write_run(std::move(run), "model", line, stamp, out);
}

Status bless_golden(const std::filesystem::path& path, const GoldenSubjects& subjects,
                    const GoldenStamp& stamp) {
  if (stamp.reason.find_first_not_of(" \t\n") == std::string::npos)
    return usage_error("blessing needs a reason: why the new values of '" + path.string() +
                       "' are right");
  PACKPROOF_TRY(const fixtures::Golden golden, fixtures::read_golden(path));
  PACKPROOF_TRY(GoldenRun run, run_golden(golden, path.parent_path(), subjects, true));
  return write_run(std::move(run), golden.subject, golden.case_line, stamp, path);
}

}  // namespace packproof
