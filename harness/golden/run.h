#pragma once

#include "fixtures/golden_store.h"
#include "harness/candidate/candidate.h"
#include "harness/core/outcome.h"
#include "harness/core/result.h"
#include "reference/reference.h"

#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

namespace packproof {

/// What running a golden's subject once gave.
struct GoldenRun {
  /// Set when there are no outputs to compare: refused, crashed, timed out, wrote outside, ...
  std::optional<CheckResult> failure;

  std::string inputs_sha256;

  /// Values and regions always; allowances and shares only when asked for. Rows that belong to
  /// nothing (slack, pool slots that no index names) are zeros in region -1.
  std::map<std::string, fixtures::GoldenOutput> outputs;
  fixtures::GoldenProvenance provenance;  ///< Up to `flags`; the rest is the recorder's.
};

/// Runs the subject of a case line. `judge` asks for allowances, which needs the reference.
using GoldenRunner = std::function<Result<GoldenRun>(const std::string& case_line, bool judge)>;

/// Runs op cases by `candidate`. The reference may be null when nobody asks to judge.
GoldenRunner op_runner(Candidate& candidate, const reference::Reference* reference,
                       const CallOptions& options = {});

/// Runs "model=FOLDER lens=1,3,65 seed=1": the reference's logits of a packed batch of random
/// tokens, with FOLDER relative to `base`. The truth that shares refer to is every sequence alone.
GoldenRunner model_runner(const reference::Reference& reference, std::filesystem::path base);

/// The model line for a checkpoint folder, its path relative to `base`.
std::string model_line(const std::filesystem::path& folder, const std::filesystem::path& base);

/// SHA-256 over names, dtypes, shapes and values of tensors; strides do not matter.
std::string sha256_of(const TensorMap& tensors);

/// Runs whatever a golden holds: op cases by a candidate, model lines by the reference. Both are
/// asked for when first needed, so that checking integrity alone starts neither.
struct GoldenSubjects {
  std::function<Result<Candidate*>()> candidate;
  std::function<Result<const reference::Reference*>()> reference;
  CallOptions options;
};

/// Runs the subject of `golden`, whose file lies in `base`.
Result<GoldenRun> run_golden(const fixtures::Golden& golden, const std::filesystem::path& base,
                             const GoldenSubjects& subjects, bool judge);

}  // namespace packproof
