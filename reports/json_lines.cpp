#include "reports/json_lines.h"

#include <iterator>
#include <system_error>
#include <utility>

namespace packproof {
namespace {

/// A sentence if the field differs between a report and the run that wants to go on with it.
Status check_same(const std::string& origin, std::string_view field, const std::string& wanted,
                  const std::string& found) {
  if (wanted == found) return {};
  return usage_error(origin + ": expected a report of the same run to go on with, found " +
                     std::string(field) + " '" + found + "' instead of '" + wanted + "'");
}

}  // namespace

std::set<std::string> JsonLinesReport::ids() const {
  std::set<std::string> ids;
  for (const CaseResult& result : results) ids.insert(result.id);
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
  const RunManifest& found = report.manifest;
  PACKPROOF_CHECK_OK(check_same(path.string(), "suite", manifest.suite, found.suite));
  PACKPROOF_CHECK_OK(
      check_same(path.string(), "seed", std::to_string(manifest.seed), std::to_string(found.seed)));
  PACKPROOF_CHECK_OK(
      check_same(path.string(), "candidate", manifest.candidate_name, found.candidate_name));
  PACKPROOF_CHECK_OK(check_same(path.string(), "candidate identity", manifest.candidate_identity,
                                found.candidate_identity));
  PACKPROOF_CHECK_OK(check_same(path.string(), "device", manifest.device, found.device));
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
