#include "harness/cli/commands.h"
#include "harness/cli/output_path.h"
#include "harness/cli/text_check.h"
#include "harness/judge/capture_file.h"
#include "harness/judge/judge_capture.h"
#include "harness/run/reference_module.h"
#include "reports/json_lines.h"
#include "reports/junit.h"
#include "reports/progress.h"
#include "reports/run_tally.h"
#include "reports/summary_text.h"
#include "reports/terminal_style.h"

#include <cstdio>
#include <filesystem>
#include <memory>

#include <unistd.h>

namespace packproof::cli {
namespace {

struct JudgeArguments {
  std::string file;
  std::string junit;
  std::string jsonl;
  std::string command;
};

RunManifest manifest_of(const JudgeArguments& arguments, const Capture& capture,
                        const CaptureVerdict& verdict) {
  RunManifest manifest;
  manifest.packproof_version = PACKPROOF_VERSION;
  manifest.command = arguments.command;
  manifest.suite = "judge";
  manifest.candidate_name = std::filesystem::path(arguments.file).filename().string();
  manifest.versions["torch"] = capture.torch;
  manifest.notes = verdict.notes;
  return manifest;
}

Result<CaptureVerdict> verdict_of(const Capture& capture) {
  PACKPROOF_TRY(const reference::Reference* reference, load_reference());
  const auto sink = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  Progress progress("judge", terminal_style(STDERR_FILENO), sink);
  ProgressState state{.done = 0,
                      .total = static_cast<int64_t>(capture.calls.size()),
                      .failed = 0,
                      .current = "call"};
  const auto count = [&](int64_t done) {
    state.done = done;
    progress.update(state);
  };
  Result<CaptureVerdict> verdict = judge_capture(capture, *reference, count);
  progress.finish();
  return verdict;
}

Status write_reports(const JudgeArguments& arguments, const RunManifest& manifest,
                     const std::vector<CaseResult>& results) {
  if (!arguments.junit.empty()) {
    PACKPROOF_CHECK_OK(write_junit(arguments.junit, manifest, results));
  }
  if (arguments.jsonl.empty()) return {};
  PACKPROOF_TRY(JsonLinesWriter writer, JsonLinesWriter::create(arguments.jsonl, manifest));
  for (const CaseResult& result : results) PACKPROOF_CHECK_OK(writer.write(result));
  return {};
}

int exit_code_of(const std::vector<CaseResult>& results) {
  bool judged = false;
  bool fault = false;
  for (const CaseResult& result : results) {
    if (is_nonconforming(outcome_of(result))) return kDoesNotConform;
    // Boundaries without numbers to judge them by are no verdict.
    for (const CheckResult& check : result.checks) {
      judged = judged || (check.outcome == OutcomeKind::kPass && check.check != "boundaries");
      fault = fault || is_fault(check.outcome);
    }
  }
  if (fault) return kMachineFault;
  if (judged) return kConforms;
  return report_error({Code::kNothingRan, "the file holds no call that could be judged"});
}

int judge(const JudgeArguments& arguments) {
  if (const Status reports = check_reports(arguments.junit, arguments.jsonl); !reports.ok()) {
    return report_error(reports.error());
  }
  const Result<Capture> capture = read_capture(arguments.file);
  if (!capture.ok()) return report_error(capture.error());
  const Result<CaptureVerdict> verdict = verdict_of(*capture);
  if (!verdict.ok()) return report_error(verdict.error());
  const RunManifest manifest = manifest_of(arguments, *capture, *verdict);
  std::fputs(summary_text(manifest, verdict->calls, terminal_style(STDOUT_FILENO)).c_str(), stdout);
  if (const Status written = write_reports(arguments, manifest, verdict->calls); !written.ok()) {
    return report_error(written.error());
  }
  return exit_code_of(verdict->calls);
}

}  // namespace

void add_judge(CLI::App& app, Body& body) {
  auto arguments = std::make_shared<JudgeArguments>();
  CLI::App* command = app.add_subcommand(
      "judge", "Judge a training or inference step that packproof_candidate.capture recorded");
  command->add_option("file", arguments->file, "What capture(\"step.h5\", batch=batch) wrote")
      ->required();
  command->add_option("--junit", arguments->junit, "Write a JUnit XML report")
      ->check(some_text("a path"));
  command->add_option("--jsonl", arguments->jsonl, "Write a JSON lines report, call by call")
      ->check(some_text("a path"));
  command->callback([arguments, &body] {
    arguments->command = typed_command();
    body = [arguments] { return judge(*arguments); };
  });
}

}  // namespace packproof::cli
