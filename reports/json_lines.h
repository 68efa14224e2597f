#pragma once

#include "harness/core/outcome.h"
#include "harness/core/result.h"
#include "reports/run_manifest.h"

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace packproof {

/// A report in JSON lines (reports/README.md): the manifest, then one object per case.
struct JsonLinesReport {
  RunManifest manifest;
  std::vector<CaseResult> results;

  /// Bytes of the complete lines. Smaller than the file when a run was killed within a line.
  uint64_t complete_bytes = 0;

  /// Ids of the cases that are done: those that a fault of the machine left unfinished are not.
  std::set<std::string> ids() const;
};

/// Reads a report, also one that a killed run left without the end of its last line. Any other line
/// that is not what the format says is refused with its number. Of a case that a fault left
/// unfinished and that ran again, only the later result is given.
Result<JsonLinesReport> read_json_lines(const std::filesystem::path& path);

/// One line without its end, and back. Values that JSON lacks (NaN, infinity) are strings; bytes
/// that are not UTF-8 become U+FFFD.
std::string json_line(const RunManifest& manifest);
std::string json_line(const CaseResult& result);
Result<RunManifest> parse_manifest_line(std::string_view line, const std::string& origin);
Result<CaseResult> parse_case_line(std::string_view line, const std::string& origin);

/// Writes a report case by case; every case is in the file before the next one starts.
class JsonLinesWriter {
 public:
  /// A new file, or an existing one emptied.
  static Result<JsonLinesWriter> create(const std::filesystem::path& path,
                                        const RunManifest& manifest);

  /// Goes on after the complete lines of `report`, which was read from `path`. Refuses a report of
  /// another packproof, suite, seed, candidate or arguments: its cases would not be this run's.
  static Result<JsonLinesWriter> resume(const std::filesystem::path& path,
                                        const JsonLinesReport& report, const RunManifest& manifest);

  Status write(const CaseResult& result);

 private:
  JsonLinesWriter(const std::filesystem::path& path, std::ios::openmode mode);

  Status write_line(const std::string& line);

  std::string name_;
  std::ofstream file_;
};

}  // namespace packproof
