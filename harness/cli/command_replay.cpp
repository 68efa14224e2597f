#include "harness/cli/commands.h"
#include "harness/cli/run_session.h"
#include "harness/core/case_text.h"
#include "reports/json_lines.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>

namespace packproof::cli {
namespace {

struct ReplayArguments {
  std::string file;
  bool all = false;
  RunArguments run;
};

/// Lines of a .case file: blank lines and lines that start with # are comments.
Result<std::vector<CaseSpec>> read_case_file(const std::string& path) {
  std::ifstream file(path);
  if (!file) return usage_error("expected a readable file of case lines, found '" + path + "'");
  std::vector<CaseSpec> cases;
  std::string line;
  for (int64_t number = 1; std::getline(file, line); ++number) {
    if (line.empty() || line[0] == '#') continue;
    Result<CaseSpec> spec = parse_case(line);
    if (!spec.ok()) {
      return usage_error(path + ", line " + std::to_string(number) + ": " + spec.error().message);
    }
    cases.push_back(std::move(*spec));
  }
  return cases;
}

/// The failing cases of a JSON lines report (all with `all`), shrunk lines where there are any.
Result<std::vector<CaseSpec>> read_report(const std::string& path, bool all) {
  PACKPROOF_TRY(const JsonLinesReport report, read_json_lines(path));
  std::vector<CaseSpec> cases;
  int64_t others = 0;
  for (const CaseResult& result : report.results) {
    if (!all && !is_nonconforming(outcome_of(result))) continue;
    Result<CaseSpec> spec = parse_case(result.shrunk.empty() ? result.id : result.shrunk);
    if (spec.ok()) {
      cases.push_back(std::move(*spec));
    } else {
      ++others;
    }
  }
  if (others > 0) {
    std::fprintf(stderr,
                 "note: %lld results of whole models or suites are left out: repeat them with "
                 "'packproof run --model' or '--suite'\n",
                 static_cast<long long>(others));
  }
  return cases;
}

int replay(ReplayArguments& arguments) {
  const bool report = std::filesystem::path(arguments.file).extension() == ".jsonl";
  const Result<std::vector<CaseSpec>> cases =
      report ? read_report(arguments.file, arguments.all) : read_case_file(arguments.file);
  if (!cases.ok()) return report_error(cases.error());
  if (cases->empty()) {
    return report_error({Code::kNothingRan, "'" + arguments.file + "' holds no case to replay"});
  }
  arguments.run.suite = "replay";
  arguments.run.no_shrink = true;
  RunSession session(arguments.run);
  if (const Status opened = session.open(); !opened.ok()) return report_error(opened.error());
  return session.close(session.run_cases(*cases));
}

}  // namespace

void add_replay(CLI::App& app, Body& body) {
  auto arguments = std::make_shared<ReplayArguments>();
  CLI::App* command = app.add_subcommand(
      "replay", "Run the failing cases of a JSON lines report, or every line of a .case file");
  command->add_option("file", arguments->file, "report.jsonl or lines.case")->required();
  command->add_flag("--all", arguments->all, "Replay passing cases of a report too");
  add_candidate_options(*command, arguments->run.candidate);
  command->add_option("--junit", arguments->run.junit, "Write a JUnit XML report");
  command->callback([arguments, &body] {
    arguments->run.command = typed_command();
    body = [arguments] { return replay(*arguments); };
  });
}

}  // namespace packproof::cli
