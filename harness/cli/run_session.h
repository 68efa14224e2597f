#pragma once

#include "harness/cli/run_arguments.h"
#include "harness/core/case_spec.h"
#include "harness/core/outcome.h"
#include "harness/run/model_check.h"
#include "reference/reference.h"
#include "reports/json_lines.h"
#include "reports/progress.h"
#include "reports/run_manifest.h"

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace packproof::cli {

struct ModelRequest {
  std::string folder;  ///< Empty: the small random model.
  ModelCheckSpec spec;
  std::string mode;  ///< Of a candidate that runs whole models; empty: its ops are judged.
  bool gradients = false;
};

/// One run: its candidate, its reports as they grow, and its end.
class RunSession {
 public:
  explicit RunSession(const RunArguments& arguments) : arguments_(arguments) {}

  /// Starts the candidate, loads the reference, opens the reports. Nothing is computed yet, so a
  /// wrong path costs nothing.
  Status open();

  const CandidateInfo& candidate_info() const { return candidate_->info(); }

  Status load_models(const std::vector<ModelRequest>& requests);

  Status run_cases(const std::vector<CaseSpec>& cases);
  Status run_models(const std::vector<ModelRequest>& requests);
  Status run_upstream();

  /// Prints the summary, writes the reports that are written at the end, and gives the exit code.
  /// With an error, what was computed is reported before it.
  int close(const Status& status);

 private:
  Status add(CaseResult result);

  bool stopped() const { return arguments_.stop_at_first && failed_ > 0; }

  const RunArguments& arguments_;
  RunManifest manifest_;
  std::unique_ptr<Candidate> candidate_;
  const reference::Reference* reference_ = nullptr;
  std::vector<std::unique_ptr<reference::Model>> models_;
  std::optional<JsonLinesWriter> json_lines_;
  std::set<std::string> done_;
  std::vector<CaseResult> results_;
  int64_t failed_ = 0;
  std::string upstream_table_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace packproof::cli
