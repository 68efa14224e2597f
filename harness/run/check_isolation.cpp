#include "harness/run/checks.h"
#include "harness/run/same_rows.h"

#include <algorithm>

namespace packproof {
namespace {

/// The sequence to disturb: one with tokens, chosen by the seed, not the last if that can be.
int64_t disturbed_sequence(const PackedCall& packed) {
  const Packing& packing = packed.packing;
  std::vector<int64_t> with_tokens;
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    if (packing.length(n) > 0) with_tokens.push_back(n);
  }
  if (with_tokens.empty()) return 0;
  if (with_tokens.size() > 1) with_tokens.pop_back();
  return with_tokens[packed.spec.seed % with_tokens.size()];
}

PairOptions all_but(int64_t count, int64_t n) {
  PairOptions pairs;
  for (int64_t i = 0; i < count; ++i) pairs.map.push_back(i == n ? -1 : i);
  return pairs;
}

}  // namespace

CheckResult check_non_interference(const CaseContext& context) {
  CheckResult result{.check = "non_interference", .outcome = OutcomeKind::kPass};
  const int64_t count = context.packed.packing.num_seqs();
  const int64_t chosen = disturbed_sequence(context.packed);
  for (const Disturbance kind : {Disturbance::kRedraw, Disturbance::kLoud, Disturbance::kNan}) {
    Result<PackedCall> disturbed = disturb(context.packed, chosen, kind);
    if (!disturbed.ok()) {
      result.outcome = OutcomeKind::kInternalError;
      result.detail = disturbed.error().message;
      return result;
    }
    const std::string relation = "after sequence " + std::to_string(chosen) + " was given " +
                                 std::string(name_of(kind)) + " data";
    // Whatever a candidate promises of packing: another sequence's data never reach a sequence.
    if (!run_and_demand(context, realise(*disturbed), all_but(count, chosen), Strength::kBitwise,
                        relation, result)) {
      if (result.outcome == OutcomeKind::kFail && kind == Disturbance::kNan &&
          promised_strength(context) == Strength::kBounded) {
        result.outcome = OutcomeKind::kQualityWarning;
        result.detail += " (only NaN crosses: the candidate masks by multiplication)";
      }
      return result;
    }
  }
  return result;
}

CheckResult check_causality(const CaseContext& context) {
  CheckResult result{.check = "causality", .outcome = OutcomeKind::kPass};
  const Packing& packing = context.packed.packing;
  PairOptions pairs;
  pairs.states = false;
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    pairs.map.push_back(n);
    pairs.end.push_back((packing.length(n) + 1) / 2);
  }
  const Result<PackedCall> other = redraw_future(context.packed, pairs.end);
  if (!other.ok()) {
    result.outcome = OutcomeKind::kInternalError;
    result.detail = other.error().message;
    return result;
  }
  run_and_demand(context, realise(*other), pairs, promised_strength(context),
                 "with other tokens after it", result);
  return result;
}

}  // namespace packproof
