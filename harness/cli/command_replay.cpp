#include "harness/cli/commands.h"
#include "harness/cli/run_session.h"
#include "harness/cli/text_check.h"
#include "harness/core/case_text.h"
#include "reports/json_lines.h"
#include "reports/text_layout.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace packproof::cli {
namespace {

struct ReplayArguments {
  std::string file;
  bool all = false;
  RunArguments run;
};

/// What a file asks to run again.
struct ReplayCases {
  std::vector<CaseSpec> cases;
  std::optional<RunManifest> report;  ///< Of a JSON lines report.
};

/// Lines of a .case file: blank lines and lines whose first word starts with # are comments.
Result<ReplayCases> read_case_file(const std::string& path) {
  std::ifstream file(path);
  std::error_code ignored;
  if (!file || std::filesystem::is_directory(path, ignored)) {
    return usage_error("expected a readable file of case lines, found '" + path + "'");
  }
  ReplayCases found;
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string::npos || line[begin] == '#') continue;
    Result<CaseSpec> spec = parse_case(line);
    if (!spec.ok()) {
      return usage_error(path + ", line " + std::to_string(number) + ": " + spec.error().message);
    }
    found.cases.push_back(std::move(*spec));
  }
  return found;
}

/// The failing cases of a JSON lines report (all with `all`), shrunk lines where there are any.
Result<ReplayCases> read_report(const std::string& path, bool all) {
  PACKPROOF_TRY(const JsonLinesReport report, read_json_lines(path));
  ReplayCases found{.cases = {}, .report = report.manifest};
  int64_t others = 0;
  for (const CaseResult& result : report.results) {
    if (!all && !is_nonconforming(outcome_of(result))) continue;
    Result<CaseSpec> spec = parse_case(result.shrunk.empty() ? result.id : result.shrunk);
    if (spec.ok()) {
      found.cases.push_back(std::move(*spec));
    } else {
      ++others;
    }
  }
  if (others > 0) {
    std::fprintf(stderr, "note: %s of %s left out: run the report's command again: %s\n",
                 counted(others, "result").c_str(),
                 others == 1 ? "a whole model or suite is" : "whole models or suites are",
                 report.manifest.command.c_str());
  }
  return found;
}

int replay(ReplayArguments& arguments) {
  const bool report = std::filesystem::path(arguments.file).extension() == ".jsonl";
  const Result<ReplayCases> found =
      report ? read_report(arguments.file, arguments.all) : read_case_file(arguments.file);
  if (!found.ok()) return report_error(found.error());
  if (found->cases.empty()) {
    return report_error({Code::kNothingRan, "'" + arguments.file + "' holds no case to replay"});
  }
  // A report is of one candidate: another one says nothing about its failures unless it is named.
  const bool chosen = arguments.run.candidate.given();
  if (found->report.has_value() && !chosen) {
    const Result<CandidateArguments> recorded =
        candidate_of(found->report->candidate_origin, arguments.file);
    if (!recorded.ok()) return report_error(recorded.error());
    arguments.run.candidate = *recorded;
  }
  arguments.run.suite = "replay";
  arguments.run.no_shrink = true;
  RunSession session(arguments.run);
  if (const Status opened = session.open(); !opened.ok()) return report_error(opened.error());
  const std::string& name = session.candidate_info().name;
  if (found->report.has_value() && name != found->report->candidate_name) {
    std::fprintf(stderr, "note: the report is of %s, this replays against %s\n",
                 found->report->candidate_name.c_str(), name.c_str());
  }
  return session.close(session.run_cases(found->cases));
}

}  // namespace

void add_replay(CLI::App& app, Body& body) {
  auto arguments = std::make_shared<ReplayArguments>();
  CLI::App* command = app.add_subcommand(
      "replay", "Run the failing cases of a JSON lines report, or every line of a .case file");
  command->add_option("file", arguments->file, "report.jsonl or lines.case")->required();
  command->add_flag("--all", arguments->all, "Replay passing cases of a report too");
  add_candidate_options(*command, arguments->run.candidate);
  command->add_option("--junit", arguments->run.junit, "Write a JUnit XML report")
      ->check(some_text("a path"));
  command->callback([arguments, &body] {
    arguments->run.command = typed_command();
    body = [arguments] { return replay(*arguments); };
  });
}

}  // namespace packproof::cli
