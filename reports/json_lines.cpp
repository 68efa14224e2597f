#include "reports/json_lines.h"

#include "reports/run_tally.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <system_error>
#include <utility>

namespace packproof {
namespace {

std::string shown(const std::string& value) { return value.empty() ? "none" : "'" + value + "'"; }

/// A sentence about the first thing in which a report and the run that wants to go on with it differ.
Status check_same_run(const std::string& origin, const RunManifest& report,
                      const RunManifest& run) {
  if (report.arguments.empty()) {
    return usage_error(origin +
                       ": to go on, expected a report that says what it was asked to run, found "
                       "one without 'arguments', of packproof " +
                       report.packproof_version);
  }
  std::vector<std::array<std::string, 3>> rows{
      {"packproof version", report.packproof_version, run.packproof_version},
      {"suite", report.suite, run.suite},
      {"seed", std::to_string(report.seed), std::to_string(run.seed)},
      {"candidate", report.candidate_name, run.candidate_name},
      {"candidate version", report.candidate_version, run.candidate_version},
      {"candidate identity", report.candidate_identity, run.candidate_identity},
      {"device", report.device, run.device}};
  std::map<std::string, std::string> names = report.arguments;
  names.insert(run.arguments.begin(), run.arguments.end());
  for (const auto& [name, value] : names) {
    const auto of = [&name = name](const RunManifest& manifest) {
      const auto found = manifest.arguments.find(name);
      return found == manifest.arguments.end() ? std::string() : found->second;
    };
    rows.push_back({name, of(report), of(run)});
  }
  for (const auto& [name, expected, found] : rows) {
    if (expected == found) continue;
    return usage_error(origin + ": to go on, expected " + name + " " + shown(expected) +
                       " as in the report, found " + shown(found));
  }
  return {};
}

/// A result that a fault left unfinished gives way to that of a later run of the case.
void drop_repeated(std::vector<CaseResult>& results) {
  std::set<std::string> later;
  std::vector<CaseResult> kept;
  for (auto result = results.rbegin(); result != results.rend(); ++result) {
    const bool repeated = !later.insert(result->id).second;
    if (!repeated || !is_unfinished(*result)) kept.push_back(std::move(*result));
  }
  std::ranges::reverse(kept);
  results = std::move(kept);
}

}  // namespace

std::set<std::string> JsonLinesReport::ids() const {
  std::set<std::string> ids;
  for (const CaseResult& result : results) {
    if (!is_unfinished(result)) ids.insert(result.id);
  }
  return ids;
}

Result<JsonLinesReport> read_json_lines(const std::filesystem::path& path) {
  std::error_code ignored;
  std::ifstream file(path, std::ios::binary);
  if (!file || !std::filesystem::is_regular_file(path, ignored)) {
    return usage_error(path.string() + ": expected a readable report in JSON lines, found none");
  }
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  JsonLinesReport report;
  int64_t number = 0;
  while (report.complete_bytes < text.size()) {
    const std::size_t begin = report.complete_bytes;
    const std::size_t end = text.find('\n', begin);
    // A line without its end was being written when the run was killed.
    if (end == std::string::npos) break;
    const std::string_view line = std::string_view(text).substr(begin, end - begin);
    const std::string origin = path.string() + ":" + std::to_string(++number);
    if (number == 1) {
      PACKPROOF_TRY(report.manifest, parse_manifest_line(line, origin));
    } else {
      PACKPROOF_TRY(CaseResult result, parse_case_line(line, origin));
      report.results.push_back(std::move(result));
    }
    report.complete_bytes = end + 1;
  }
  if (number == 0) {
    return invalid_input(path.string() +
                         ":1: expected the manifest of a packproof run, found no complete line");
  }
  drop_repeated(report.results);
  return report;
}

JsonLinesWriter::JsonLinesWriter(const std::filesystem::path& path, std::ios::openmode mode)
    : name_(path.string()), file_(path, mode | std::ios::binary | std::ios::out) {}

Result<JsonLinesWriter> JsonLinesWriter::create(const std::filesystem::path& path,
                                                const RunManifest& manifest) {
  JsonLinesWriter writer(path, std::ios::trunc);
  PACKPROOF_CHECK_OK(writer.write_line(json_line(manifest)));
  return writer;
}

Result<JsonLinesWriter> JsonLinesWriter::resume(const std::filesystem::path& path,
                                                const JsonLinesReport& report,
                                                const RunManifest& manifest) {
  PACKPROOF_CHECK_OK(check_same_run(path.string(), report.manifest, manifest));
  std::error_code failure;
  std::filesystem::resize_file(path, report.complete_bytes, failure);
  if (failure) {
    return usage_error(path.string() +
                       ": expected a report that can be written, found: " + failure.message());
  }
  return JsonLinesWriter(path, std::ios::app);
}

Status JsonLinesWriter::write(const CaseResult& result) { return write_line(json_line(result)); }

Status JsonLinesWriter::write_line(const std::string& line) {
  file_ << line << '\n' << std::flush;
  if (!file_) {
    return usage_error(name_ + ": expected a file that can be written, but writing failed");
  }
  return {};
}

}  // namespace packproof
