#include "reports/junit.h"

#include "reports/xml_text.h"

#include <cmath>
#include <cstdio>
#include <fstream>
#include <map>
#include <system_error>
#include <utility>
#include <vector>

namespace packproof {
namespace {

enum class Verdict { kPassed, kFailure, kError, kSkipped };

Verdict verdict_of(OutcomeKind kind) {
  if (is_nonconforming(kind)) return Verdict::kFailure;
  switch (kind) {
    case OutcomeKind::kPass:
    case OutcomeKind::kQualityWarning:
      return Verdict::kPassed;
    case OutcomeKind::kResource:
    case OutcomeKind::kInternalError:
      return Verdict::kError;
    default:
      return Verdict::kSkipped;
  }
}

struct Counts {
  int64_t tests = 0;
  int64_t failures = 0;
  int64_t errors = 0;
  int64_t skipped = 0;
  double seconds = 0.0;

  void add(const CheckResult& check) {
    const Verdict verdict = verdict_of(check.outcome);
    ++tests;
    failures += verdict == Verdict::kFailure;
    errors += verdict == Verdict::kError;
    skipped += verdict == Verdict::kSkipped;
    if (std::isfinite(check.seconds)) seconds += check.seconds;
  }

  void add(const Counts& other) {
    tests += other.tests;
    failures += other.failures;
    errors += other.errors;
    skipped += other.skipped;
    seconds += other.seconds;
  }
};

std::string seconds_text(double seconds) {
  char text[64];
  std::snprintf(text, sizeof text, "%.6f", std::isfinite(seconds) ? seconds : 0.0);
  return text;
}

std::string budget_text(double budget_used) {
  char text[64];
  std::snprintf(text, sizeof text, "%.6g", budget_used);
  return text;
}

std::string attribute(std::string_view name, std::string_view value) {
  std::string text(" ");
  text += name;
  text += "=\"";
  text += xml_text(value);
  text += '"';
  return text;
}

std::string count_attributes(const Counts& counts) {
  return attribute("tests", std::to_string(counts.tests)) +
         attribute("failures", std::to_string(counts.failures)) +
         attribute("errors", std::to_string(counts.errors)) +
         attribute("skipped", std::to_string(counts.skipped)) +
         attribute("time", seconds_text(counts.seconds));
}

/// A property with a value, on a line of its own.
void append_property(std::size_t indent, std::string_view name, std::string_view value,
                     std::string& xml) {
  if (value.empty()) return;
  xml += std::string(indent, ' ') + "<property" + attribute("name", name) +
         attribute("value", value) + "/>\n";
}

void append_verdict(const RunManifest& manifest, const CaseResult& result, const CheckResult& check,
                    std::string& xml) {
  const std::string_view outcome = name_of(check.outcome);
  const std::string message =
      check.detail.empty() ? std::string(sentence_of(check.outcome)) : check.detail;
  const Verdict verdict = verdict_of(check.outcome);
  if (verdict == Verdict::kSkipped) {
    xml += "      <skipped" + attribute("message", std::string(outcome) + ": " + message) + "/>\n";
  }
  if (verdict == Verdict::kFailure || verdict == Verdict::kError) {
    const std::string tag = verdict == Verdict::kFailure ? "failure" : "error";
    xml += "      <" + tag + attribute("type", outcome) + attribute("message", message) + ">";
    xml += xml_text(message + "\n" + repro_command(manifest, result.id, result.shrunk));
    xml += "</" + tag + ">\n";
  }
  if (check.outcome == OutcomeKind::kQualityWarning) {
    xml +=
        "      <system-out>" + xml_text(std::string(outcome) + ": " + message) + "</system-out>\n";
  }
}

void append_testcase(const RunManifest& manifest, const CaseResult& result,
                     const CheckResult& check, std::string& xml) {
  xml += "    <testcase" + attribute("classname", operation_of(result.id)) +
         attribute("name", check.check + ": " + result.id) +
         attribute("time", seconds_text(check.seconds)) + ">\n";
  xml += "      <properties>\n";
  append_property(8, "outcome", name_of(check.outcome), xml);
  if (check.budget_used != 0.0) {
    append_property(8, "budget_used", budget_text(check.budget_used), xml);
  }
  append_property(8, "variant", result.variant, xml);
  xml += "      </properties>\n";
  append_verdict(manifest, result, check, xml);
  xml += "    </testcase>\n";
}

/// The checks of a case; a case without any is one that did not run.
std::vector<CheckResult> checks_of(const CaseResult& result) {
  if (!result.checks.empty()) return result.checks;
  return {CheckResult{.check = "case", .outcome = OutcomeKind::kNotRun}};
}

void append_manifest(const RunManifest& manifest, std::string& xml) {
  xml += "    <properties>\n";
  const std::vector<std::pair<std::string_view, std::string>> values{
      {"packproof", manifest.packproof_version},
      {"command", manifest.command},
      {"suite", manifest.suite},
      {"seed", std::to_string(manifest.seed)},
      {"candidate", manifest.candidate_name},
      {"candidate_version", manifest.candidate_version},
      {"candidate_identity", manifest.candidate_identity},
      {"device", manifest.device},
  };
  for (const auto& [name, value] : values) {
    append_property(6, name, value, xml);
  }
  for (const std::string& note : manifest.notes) append_property(6, "note", note, xml);
  for (const auto& [name, value] : manifest.versions) {
    append_property(6, name, value, xml);
  }
  xml += "    </properties>\n";
}

}  // namespace

std::string junit_xml(const RunManifest& manifest, std::span<const CaseResult> results) {
  std::map<std::string, std::vector<const CaseResult*>> by_operation;
  for (const CaseResult& result : results) by_operation[operation_of(result.id)].push_back(&result);

  std::string suites;
  Counts all;
  for (const auto& [operation, cases] : by_operation) {
    Counts counts;
    std::string testcases;
    for (const CaseResult* result : cases) {
      for (const CheckResult& check : checks_of(*result)) {
        counts.add(check);
        append_testcase(manifest, *result, check, testcases);
      }
    }
    all.add(counts);
    suites += "  <testsuite" + attribute("name", operation) + count_attributes(counts);
    if (!manifest.started.empty()) suites += attribute("timestamp", manifest.started);
    suites += ">\n";
    append_manifest(manifest, suites);
    suites += testcases + "  </testsuite>\n";
  }
  std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites";
  xml += attribute("name", "packproof") + count_attributes(all) + ">\n";
  return xml + suites + "</testsuites>\n";
}

Status write_junit(const std::filesystem::path& path, const RunManifest& manifest,
                   std::span<const CaseResult> results) {
  std::error_code ignored;
  // A pipe or a terminal is written to as it is; renaming would replace it.
  const bool in_place =
      std::filesystem::exists(path, ignored) && !std::filesystem::is_regular_file(path, ignored);
  std::filesystem::path target = path;
  if (!in_place) target += ".unfinished";
  std::ofstream file(target, std::ios::binary | std::ios::trunc);
  file << junit_xml(manifest, results);
  file.close();
  std::error_code failure;
  if (file && !in_place) std::filesystem::rename(target, path, failure);
  if (file && !failure) return {};
  if (!in_place) std::filesystem::remove(target, ignored);
  return usage_error(path.string() + ": expected a file that can be written, but " +
                     (failure ? failure.message() : "writing failed"));
}

}  // namespace packproof
