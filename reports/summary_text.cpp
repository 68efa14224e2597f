#include "reports/summary_text.h"

#include "reports/run_tally.h"
#include "reports/summary_tables.h"
#include "reports/text_layout.h"

#include <string_view>
#include <vector>

namespace packproof {
namespace {

constexpr std::size_t kIndent = 2;

/// What limits the verdict comes before it.
void append_notes(const RunManifest& manifest, const TerminalStyle& style, std::string& text) {
  for (const std::string& note : manifest.notes) {
    text +=
        painted(style, Paint::kCaution, wrapped(note, 0, static_cast<std::size_t>(style.columns)));
  }
}

void append_header(const RunManifest& manifest, const TerminalStyle& style, std::string& text) {
  const std::string separator = style.unicode ? " · " : ", ";
  text += painted(style, Paint::kBold, "packproof " + manifest.packproof_version);
  if (!manifest.suite.empty()) text += separator + manifest.suite;
  text += separator + "seed " + std::to_string(manifest.seed) + "\n";

  std::string candidate = manifest.candidate_name;
  if (!manifest.candidate_version.empty()) candidate += " " + manifest.candidate_version;
  if (!manifest.device.empty()) candidate += separator + manifest.device;
  if (!manifest.candidate_identity.empty()) {
    candidate += separator + manifest.candidate_identity.substr(0, 12);
  }
  std::string versions;
  for (const auto& [name, version] : manifest.versions) {
    if (!versions.empty()) versions += separator;
    versions += name + " " + version;
  }
  const auto columns = static_cast<std::size_t>(style.columns);
  text += painted(style, Paint::kDim, wrapped(candidate, 0, columns));
  text += painted(style, Paint::kDim, wrapped(versions, 0, columns));
}

/// One check with its case, its sentence and the command that runs it again. The case and the
/// command stay on one line each, however long, so that they can be copied.
void append_finding(const RunManifest& manifest, const Finding& finding, const TerminalStyle& style,
                    std::string& text) {
  const CheckResult& check = *finding.check;
  const std::string indent(kIndent, ' ');
  text += "\n" + painted(style, Paint::kBad, name_of(check.outcome)) + "  " + check.check + "\n";
  text += indent + finding.result->id + "\n";
  const std::string detail =
      check.detail.empty() ? std::string(sentence_of(check.outcome)) : check.detail;
  text += wrapped(detail, kIndent, static_cast<std::size_t>(style.columns));
  const std::string command = repro_command(manifest, finding.result->id, finding.result->shrunk);
  if (!command.empty()) text += indent + painted(style, Paint::kBold, command) + "\n";
}

void append_findings(const RunManifest& manifest, const std::vector<Finding>& findings,
                     const TerminalStyle& style, std::size_t limit, std::string& text) {
  for (std::size_t i = 0; i < findings.size() && i < limit; ++i) {
    append_finding(manifest, findings[i], style, text);
  }
  if (findings.size() > limit) {
    text += "\n" + std::string(kIndent, ' ') + "and " +
            counted(static_cast<int64_t>(findings.size() - limit), "more check") + " like these\n";
  }
}

void append_outcomes(const RunTally& run, const TerminalStyle& style, std::string& text) {
  std::string line;
  for (std::size_t kind = 0; kind < kOutcomeKinds; ++kind) {
    if (run.checks[kind] == 0) continue;
    if (!line.empty()) line += style.unicode ? " · " : ", ";
    line += grouped(run.checks[kind]) + " ";
    line += name_of(static_cast<OutcomeKind>(kind));
  }
  if (line.empty()) return;
  text += "\n" + painted(style, Paint::kBold, "checks") + "\n";
  text += wrapped(line, kIndent, static_cast<std::size_t>(style.columns));
}

void append_verdict(const RunTally& run, const TerminalStyle& style, std::string& text) {
  const int64_t cases = run.total_cases();
  const int64_t failed = run.total_nonconforming();
  const auto unfinished = static_cast<int64_t>(run.faults.size());
  const int64_t passed = run.checks[static_cast<std::size_t>(OutcomeKind::kPass)] +
                         run.checks[static_cast<std::size_t>(OutcomeKind::kQualityWarning)];
  text += "\n";
  if (failed > 0) {
    text += painted(style, Paint::kBad, "does not conform") + ": " + grouped(failed) + " of " +
            counted(cases, "case") + " failed";
    if (unfinished > 0) text += ", " + counted(unfinished, "check") + " not finished";
  } else if (unfinished > 0) {
    // What the machine left open may be what would have failed.
    text += painted(style, Paint::kCaution, "not finished") + ": " + counted(unfinished, "check") +
            " ended in a fault of the machine or of packproof, " + grouped(passed) + " passed";
  } else if (passed == 0) {
    text += painted(style, Paint::kCaution, "no verdict") + ": no check passed or failed in " +
            counted(cases, "case");
  } else {
    int64_t judged = 0;
    for (const auto& [name, operation] : run.operations) judged += operation.passed;
    text += painted(style, Paint::kGood, "conforms") + ": ";
    // What was refused conforms to nothing.
    if (judged < cases) text += grouped(judged) + " of ";
    text += counted(cases, "case") + (judged < cases ? " judged, " : ", ") +
            counted(passed, "check") + " passed";
  }
  text += ", " + duration_text(run.seconds) + " in checks\n";
}

}  // namespace

std::string summary_text(const RunManifest& manifest, std::span<const CaseResult> results,
                         const TerminalStyle& style, const SummaryLimits& limits) {
  const RunTally run = tally(results);
  std::string text;
  append_notes(manifest, style, text);
  append_header(manifest, style, text);
  append_findings(manifest, run.failures, style, limits.failures, text);
  append_findings(manifest, run.faults, style, limits.failures, text);
  append_operations(run, style, text);
  append_strength(run, style, text);
  append_variants(run, style, text);
  append_reasons(run, style, limits.reasons, text);
  append_outcomes(run, style, text);
  append_verdict(run, style, text);
  return text;
}

}  // namespace packproof
