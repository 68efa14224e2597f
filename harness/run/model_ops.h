#pragma once

#include "harness/candidate/candidate.h"
#include "harness/core/outcome.h"
#include "harness/oracle/compare.h"
#include "reference/reference.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace packproof {

/// Faults of the wiring between a model and its kernels, planted in what the candidate receives or
/// in what it gave back. Each is a bug that shipped (known_bugs: M01, M02, M17, ...).
enum class PlantedFault : uint8_t {
  kNone,
  kWithholdSeqIdx,     ///< The convolution runs over the whole row.
  kWithholdCuSeqlens,  ///< The delta rule runs over the whole row.
  kWithholdBoth,       ///< The bug of transformers #45034.
  kOffByOne,           ///< The second entry of cu_seqlens is one too large.
  kLastTokenLost,      ///< The last token of every sequence comes back as zeros.
  kWrongKeyHead,       ///< Value head h reads key head h mod Hk.
};

std::string_view name_of(PlantedFault fault);
std::span<const PlantedFault> all_planted_faults();

/// One op of one layer, judged on the reference's own inputs.
struct SiteVerdict {
  int64_t layer = 0;
  Op op = Op::kCausalConv1d;
  std::optional<CheckResult> failure{};  ///< Of a call that was not answered, or wrote elsewhere.
  double budget_used = 0.0;
  std::string place{};  ///< Output, sequence, token and element of the worst share.
};

/// Lets a candidate stand in for the ops of a model (reference.h, OpHook). Where it has a chunked rule
/// for the dtype, that takes the delta rules over tokens and the recurrent one the single steps.
class ModelOps {
 public:
  ModelOps(Candidate& candidate, const reference::Reference& reference, DType dtype,
           PlantedFault fault, CallOptions options)
      : candidate_(candidate),
        reference_(reference),
        dtype_(dtype),
        fault_(fault),
        options_(options) {}

  /// The model goes on with the candidate's outputs.
  reference::OpHook substituting();

  /// The model goes on with its own outputs; every site adds a verdict.
  reference::OpHook judging(std::vector<SiteVerdict>& verdicts);

  /// The failure of the last call of `substituting` that had one, with its layer and op.
  const std::optional<CheckResult>& failure() const { return failure_; }

  /// How many times coarser than the dtype the candidate computes by its own declaration; at least 1.
  double declared_coarseness() const;

  /// The reference itself with inputs and outputs rounded to the dtype: the noise that any
  /// implementation of this precision shows.
  reference::OpHook emulating();

 private:
  /// Whether delta rules over tokens go to the candidate's chunked rule (16-bit dtypes).
  bool takes_chunks() const;

  OpCall rounded(const OpCall& call) const;
  OpCall as_candidate_sees(OpCall call) const;

  /// A chunked rule that refuses the shapes is replaced by the recurrent one, in the call too.
  CallResult run(OpCall& rounded_call);

  Candidate& candidate_;
  const reference::Reference& reference_;
  DType dtype_;
  PlantedFault fault_;
  CallOptions options_;
  std::optional<CheckResult> failure_;
};

}  // namespace packproof
