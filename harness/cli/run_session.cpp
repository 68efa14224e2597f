#include "harness/cli/run_session.h"

#include "harness/cli/commands.h"
#include "harness/cli/output_path.h"
#include "harness/core/case_text.h"
#include "harness/run/reference_module.h"
#include "harness/run/shrinking.h"
#include "harness/run/stack_check.h"
#include "harness/run/upstream_suite.h"
#include "reports/junit.h"
#include "reports/run_tally.h"
#include "reports/summary_text.h"
#include "reports/terminal_style.h"

#include <cstdio>
#include <ctime>
#include <filesystem>

#include <unistd.h>

namespace packproof::cli {
namespace {

// The time limit is one call's; a whole model is some thirty calls of a program that has to load it.
constexpr int64_t kCallsPerModel = 30;

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text;
}

/// One sentence per approximation, however many ops declare it.
std::set<std::string> declared_approximations(const CandidateInfo& info) {
  std::set<std::string> sentences;
  for (const Capability& capability : info.capabilities) {
    for (const Approximation& declared : capability.approximations) {
      char roundoff[32];
      std::snprintf(roundoff, sizeof roundoff, "%.2g", declared.unit_roundoff);
      sentences.insert("declared approximation of " + std::string(name_of(capability.op)) + " in " +
                       std::string(name_of(declared.dtype)) + ": " + declared.what +
                       " (budgets count on a roundoff of " + roundoff + ")");
    }
  }
  return sentences;
}

std::string what_runs(const RunArguments& arguments) {
  if (!arguments.suite.empty()) return arguments.suite;
  if (!arguments.ops.empty()) return "random";
  return arguments.case_lines.empty() ? "model" : "case";
}

}  // namespace

Status RunSession::open() {
  PACKPROOF_CHECK_OK(check_reports(arguments_.junit, arguments_.jsonl));
  PACKPROOF_TRY(candidate_, start_candidate(arguments_.candidate));
  PACKPROOF_TRY(reference_, load_reference());
  const CandidateInfo& info = candidate_->info();
  manifest_.packproof_version = PACKPROOF_VERSION;
  manifest_.started = utc_now();
  manifest_.command = arguments_.command;
  manifest_.suite = what_runs(arguments_);
  manifest_.seed = arguments_.seed;
  manifest_.candidate_name = info.name;
  manifest_.candidate_version = info.version;
  manifest_.candidate_identity = info.identity;
  manifest_.device = info.device;
  manifest_.repro_options = repro_options(arguments_.candidate);
  manifest_.candidate_origin = origin_of(arguments_.candidate);
  manifest_.arguments = determining_arguments(arguments_);
  // Nothing else tells two programs of one name and version apart.
  if (info.identity.empty() && !arguments_.candidate.command.empty()) {
    manifest_.arguments["--candidate"] = arguments_.candidate.command;
  }
  manifest_.notes = info.notes;
  for (const std::string& declared : declared_approximations(info)) {
    manifest_.notes.push_back(declared);
  }
  if (arguments_.jsonl.empty()) return {};
  if (arguments_.resume && std::filesystem::exists(arguments_.jsonl)) {
    PACKPROOF_TRY(JsonLinesReport report, read_json_lines(arguments_.jsonl));
    PACKPROOF_TRY(json_lines_, JsonLinesWriter::resume(arguments_.jsonl, report, manifest_));
    done_ = report.ids();
    results_ = std::move(report.results);
    std::erase_if(results_, is_unfinished);
    for (const CaseResult& result : results_)
      failed_ += is_nonconforming(outcome_of(result)) ? 1 : 0;
    return {};
  }
  PACKPROOF_TRY(json_lines_, JsonLinesWriter::create(arguments_.jsonl, manifest_));
  return {};
}

Status RunSession::load_models(const std::vector<ModelRequest>& requests) {
  for (const ModelRequest& request : requests) {
    if (request.folder.empty()) {
      PACKPROOF_TRY(
          std::unique_ptr<reference::Model> model,
          reference_->random_model(small_dense_config(), GateRegime::kSlow, arguments_.seed,
                                   reference::WeightInit::kEveryTermMatters));
      models_.push_back(std::move(model));
      continue;
    }
    PACKPROOF_TRY(std::unique_ptr<reference::Model> model, reference_->load_model(request.folder));
    models_.push_back(std::move(model));
  }
  return {};
}

Status RunSession::add(CaseResult result) {
  result.suite = manifest_.suite;
  if (is_nonconforming(outcome_of(result))) ++failed_;
  if (json_lines_) PACKPROOF_CHECK_OK(json_lines_->write(result));
  results_.push_back(std::move(result));
  return {};
}

Status RunSession::run_cases(const std::vector<CaseSpec>& cases) {
  if (cases.empty()) return {};
  CaseOptions options;
  options.time_limit =
      std::chrono::milliseconds(static_cast<int64_t>(arguments_.time_limit * 1000.0));
  options.checks.insert(arguments_.checks.begin(), arguments_.checks.end());
  const auto sink = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  Progress progress(manifest_.suite, terminal_style(STDERR_FILENO), sink);
  ProgressState state{
      .done = 0, .total = static_cast<int64_t>(cases.size()), .failed = failed_, .current = {}};
  for (const CaseSpec& spec : cases) {
    state.current = std::string(name_of(spec.op));
    progress.update(state);
    if (!done_.contains(to_text(spec))) {
      PACKPROOF_CHECK_OK(add(arguments_.no_shrink
                                 ? run_case(spec, *candidate_, *reference_, options)
                                 : run_and_shrink(spec, *candidate_, *reference_, options)));
    }
    ++state.done;
    state.failed = failed_;
    progress.update(state);
    if (stopped()) break;
  }
  progress.finish();
  return {};
}

Status RunSession::run_models(const std::vector<ModelRequest>& requests) {
  for (std::size_t i = 0; i < requests.size() && !stopped(); ++i) {
    const ModelRequest& request = requests[i];
    if (!request.mode.empty()) {
      const StackCheckSpec spec{.name = request.spec.name,
                                .folder = request.folder,
                                .lens = request.spec.lens,
                                .mode = request.mode,
                                .dtype = request.spec.dtype,
                                .gradients = request.gradients,
                                .seed = request.spec.seed,
                                .time_limit = kCallsPerModel * request.spec.time_limit};
      if (done_.contains(stack_check_id(spec))) continue;
      PACKPROOF_CHECK_OK(add(check_stack(*models_[i], spec, *candidate_, *reference_)));
      continue;
    }
    if (done_.contains(model_check_id(request.spec))) continue;
    PACKPROOF_CHECK_OK(add(check_model(*models_[i], request.spec, *candidate_, *reference_)));
  }
  return {};
}

Status RunSession::run_upstream() {
  if (done_.contains(kUpstreamSuite)) return {};
  PACKPROOF_TRY(UpstreamReport report,
                run_upstream_suite(*candidate_, *reference_, arguments_.seed));
  upstream_table_ = upstream_table(report);
  return add(std::move(report.verdict));
}

int RunSession::close(const Status& status) {
  if (!upstream_table_.empty()) std::printf("%s\n", upstream_table_.c_str());
  std::fputs(summary_text(manifest_, results_, terminal_style(STDOUT_FILENO)).c_str(), stdout);
  if (!arguments_.junit.empty()) {
    const Status written = write_junit(arguments_.junit, manifest_, results_);
    if (!written.ok()) return report_error(written.error());
  }
  if (!status.ok()) return report_error(status.error());
  bool judged = false;
  bool fault = false;
  for (const CaseResult& result : results_) {
    for (const CheckResult& check : result.checks) {
      fault = fault || is_fault(check.outcome);
      if (check.outcome != OutcomeKind::kNotRun && check.outcome != OutcomeKind::kNotSupported) {
        judged = true;
      }
    }
  }
  if (failed_ > 0) return kDoesNotConform;
  if (fault) return kMachineFault;
  if (!judged)
    return report_error({Code::kNothingRan, "no check gave a verdict: expected at least one"});
  return kConforms;
}

}  // namespace packproof::cli
