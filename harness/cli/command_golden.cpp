#include "fixtures/golden_store.h"
#include "harness/cli/candidate_options.h"
#include "harness/cli/commands.h"
#include "harness/cli/output_path.h"
#include "harness/cli/text_check.h"
#include "harness/golden/diff.h"
#include "harness/golden/record.h"
#include "harness/golden/verify.h"
#include "harness/run/reference_module.h"
#include "reports/run_tally.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

namespace packproof::cli {
namespace {

namespace fs = std::filesystem;

struct GoldenArguments {
  CandidateArguments candidate;
  std::vector<std::string> paths;
  std::string case_line;
  std::string model;
  std::string out;
  std::string reason;
  bool integrity_only = false;
};

/// Starts the candidate and loads the reference when a golden first needs them.
class LazySubjects {
 public:
  explicit LazySubjects(const CandidateArguments& arguments) : arguments_(arguments) {}

  GoldenSubjects subjects() {
    GoldenSubjects subjects;
    subjects.candidate = [this]() -> Result<Candidate*> {
      // One that does not start once is not started for every golden.
      if (error_.has_value()) return *error_;
      if (candidate_ == nullptr) {
        Result<std::unique_ptr<Candidate>> started = start_candidate(arguments_);
        if (!started.ok()) return *(error_ = started.error());
        candidate_ = std::move(*started);
      }
      return candidate_.get();
    };
    subjects.reference = [] { return load_reference(); };
    return subjects;
  }

  /// Why the candidate does not start, once it was asked for.
  const std::optional<Error>& error() const { return error_; }

 private:
  const CandidateArguments& arguments_;
  std::unique_ptr<Candidate> candidate_;
  std::optional<Error> error_;
};

GoldenStamp stamp_of(const GoldenArguments& arguments) {
  return {.packproof = PACKPROOF_VERSION, .reason = arguments.reason, .date = {}};
}

/// Files as named, folders as the .h5 files in them, sorted, each once.
Result<std::vector<fs::path>> golden_files(const std::vector<std::string>& paths) {
  std::vector<fs::path> files;
  for (const std::string& path : paths) {
    if (!fs::exists(path))
      return usage_error("expected a golden file or folder, found no '" + path + "'");
    if (!fs::is_directory(path)) {
      files.emplace_back(path);
      continue;
    }
    for (const fs::directory_entry& entry : fs::recursive_directory_iterator(path)) {
      if (entry.path().extension() == ".h5") files.push_back(entry.path());
    }
  }
  for (fs::path& file : files) file = file.lexically_normal();
  std::sort(files.begin(), files.end());
  files.erase(
      std::unique(files.begin(), files.end(),
                  [](const fs::path& a, const fs::path& b) { return fs::equivalent(a, b); }),
      files.end());
  if (files.empty()) return Error{Code::kNothingRan, "expected golden files (*.h5), found none"};
  return files;
}

int record(const GoldenArguments& arguments) {
  if (const Status writable = check_output("--out", arguments.out); !writable.ok()) {
    return report_error(writable.error());
  }
  const Result<const reference::Reference*> reference = load_reference();
  if (!reference.ok()) return report_error(reference.error());
  Status status;
  if (!arguments.model.empty()) {
    status = record_model_golden(arguments.model, **reference, stamp_of(arguments), arguments.out);
  } else {
    const Result<std::unique_ptr<Candidate>> candidate = start_candidate(arguments.candidate);
    if (!candidate.ok()) return report_error(candidate.error());
    status = record_golden(arguments.case_line, **candidate, **reference, stamp_of(arguments),
                           arguments.out);
  }
  if (!status.ok()) return report_error(status.error());
  std::printf("recorded %s\n", arguments.out.c_str());
  return kConforms;
}

int verify(const GoldenArguments& arguments) {
  const Result<std::vector<fs::path>> files = golden_files(arguments.paths);
  if (!files.ok()) return report_error(files.error());
  LazySubjects lazy(arguments.candidate);
  const GoldenSubjects subjects = lazy.subjects();
  std::vector<VerifiedFile> verified;
  bool failed = false;
  bool fault = false;
  bool judged = false;
  std::optional<Error> damage;
  for (const fs::path& file : *files) {
    verified.push_back(
        {file, verify_golden(file, subjects, {.integrity_only = arguments.integrity_only})});
    const OutcomeKind outcome = verified.back().result.outcome;
    judged = judged || outcome == OutcomeKind::kPass;
    fault = fault || is_fault(outcome);
    if (!is_nonconforming(outcome)) continue;
    // A file that cannot be read, or a candidate that never ran, is no verdict on the candidate.
    const auto golden = fixtures::read_golden(file);
    if (!golden.ok()) {
      damage = golden.error();
    } else if (golden->subject == "model" || !lazy.error().has_value()) {
      failed = true;
    }
  }
  std::fputs(verify_table(verified).c_str(), stdout);
  if (failed) return kDoesNotConform;
  if (lazy.error().has_value()) return report_error(*lazy.error());
  if (damage.has_value()) return exit_code(*damage);
  if (fault) return kMachineFault;
  if (judged) return kConforms;
  return report_error({Code::kNothingRan, "no golden file gave a verdict: expected at least one"});
}

int diff(const GoldenArguments& arguments) {
  const Result<GoldenDiff> result = diff_goldens(arguments.paths[0], arguments.paths[1]);
  if (!result.ok()) return report_error(result.error());
  std::fputs(diff_table(*result).c_str(), stdout);
  return result->within() ? kConforms : kDoesNotConform;
}

int bless(const GoldenArguments& arguments) {
  const Result<std::vector<fs::path>> files = golden_files(arguments.paths);
  if (!files.ok()) return report_error(files.error());
  const fs::path folder = fs::absolute(files->front()).parent_path();
  if (const Status clean = require_clean_tree(folder); !clean.ok())
    return report_error(clean.error());
  LazySubjects lazy(arguments.candidate);
  const GoldenSubjects subjects = lazy.subjects();
  for (const fs::path& file : *files) {
    const Status status = bless_golden(file, subjects, stamp_of(arguments));
    if (!status.ok()) return report_error(status.error());
    std::printf("blessed %s\n", file.c_str());
  }
  return kConforms;
}

}  // namespace

void add_golden(CLI::App& app, Body& body) {
  auto arguments = std::make_shared<GoldenArguments>();
  CLI::App* command =
      app.add_subcommand("golden", "Record, verify, compare and bless golden files");
  command->require_subcommand(1);

  CLI::App* record_command =
      command->add_subcommand("record", "Run a case or a model and write its golden file");
  CLI::Option* line = record_command->add_option("--case", arguments->case_line, "A case line")
                          ->check(some_text("a case line"));
  record_command->add_option("--model", arguments->model, "A checkpoint folder")
      ->check(some_text("a model's folder"))
      ->excludes(line);
  record_command->add_option("--out", arguments->out, "The file to write")
      ->required()
      ->check(some_text("a path"));
  record_command->add_option("--reason", arguments->reason, "Why these values stand")
      ->default_str("recorded");
  add_candidate_options(*record_command, arguments->candidate);
  record_command->callback([arguments, &body] {
    if (arguments->case_line.empty() == arguments->model.empty()) {
      throw CLI::RequiredError("golden record: one of --case, --model");
    }
    if (arguments->reason.empty()) arguments->reason = "recorded";
    body = [arguments] { return record(*arguments); };
  });

  CLI::App* verify_command =
      command->add_subcommand("verify", "Check integrity, then run again and compare");
  verify_command->add_option("paths", arguments->paths, "Golden files or folders of them")
      ->required();
  verify_command->add_flag("--integrity-only", arguments->integrity_only,
                           "Stop after the integrity");
  add_candidate_options(*verify_command, arguments->candidate);
  verify_command->callback(
      [arguments, &body] { body = [arguments] { return verify(*arguments); }; });

  CLI::App* diff_command =
      command->add_subcommand("diff", "Show the drift of one golden from another");
  diff_command->add_option("files", arguments->paths, "Two golden files of one case")
      ->required()
      ->expected(2);
  diff_command->callback([arguments, &body] { body = [arguments] { return diff(*arguments); }; });

  CLI::App* bless_command = command->add_subcommand(
      "bless", "Replace recorded values by new ones (needs a reason and a clean tree)");
  bless_command->add_option("paths", arguments->paths, "Golden files or folders of them")
      ->required();
  bless_command->add_option("--reason", arguments->reason, "Why the values changed")->required();
  add_candidate_options(*bless_command, arguments->candidate);
  bless_command->callback([arguments, &body] { body = [arguments] { return bless(*arguments); }; });
}

}  // namespace packproof::cli
