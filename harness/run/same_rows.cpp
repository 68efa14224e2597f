#include "harness/run/same_rows.h"

#include <algorithm>

namespace packproof {

Strength promised_strength(const CaseContext& context) {
  return context.candidate.info().bitwise_pack_invariant ? Strength::kBitwise : Strength::kBounded;
}

Strength strength_against(const CaseContext& context, BatchLayout other) {
  const bool left_pads =
      context.packed.spec.layout == BatchLayout::kPaddedLeft || other == BatchLayout::kPaddedLeft;
  if (left_pads && geometry_of(context.packed.call.op) == Geometry::kTokens &&
      context.packed.call.op != Op::kRecurrentGatedDeltaRule) {
    return Strength::kBounded;
  }
  return promised_strength(context);
}

bool demand_same_rows(const CaseContext& context, const Realised& other, const CallResult& run,
                      const PairOptions& options, Strength strength, const std::string& relation,
                      CheckResult& result) {
  for (const auto& [name, rows] : context.realised.rows) {
    const PairedRows paired = pair_rows(rows, other.rows.at(name), options);
    std::vector<RowPair> pairs;
    pairs.reserve(paired.a.size());
    for (std::size_t i = 0; i < paired.a.size(); ++i) pairs.push_back({paired.a[i], paired.b[i]});
    const Tensor& base = context.base.outputs.at(name);
    const Tensor& second = run.outputs.at(name);
    const int64_t base_rows = row_count(rows);
    const int64_t second_rows = row_count(other.rows.at(name));
    const auto describe = [&](int64_t row, int64_t element, double first, double found) {
      return element_text(name, rows[static_cast<std::size_t>(row)], element) + ": " +
             number_text(first) + " in the pack, " + number_text(found) + " " + relation;
    };
    if (const auto found = first_not_a_number(base, second, base_rows, second_rows, pairs);
        !found.equal()) {
      result.outcome = OutcomeKind::kFail;
      result.detail = describe(found.row, found.element, found.first, found.second) +
                      "; NaN agrees with nothing";
      return false;
    }
    if (strength == Strength::kBitwise) {
      const BitDifference found = first_bit_difference(base, second, base_rows, second_rows, pairs);
      if (found.equal()) continue;
      result.outcome = OutcomeKind::kFail;
      result.detail = describe(found.row, found.element, found.first, found.second) +
                      "; equal bits are promised";
      return false;
    }
    const WorstElement worst = largest_difference(
        base, second, context.expectation.allowed.at(name), base_rows, second_rows, pairs);
    const double share = worst.budget_used / 2.0;
    result.budget_used = std::max(result.budget_used, share);
    if (share <= 1.0) continue;
    result.outcome = OutcomeKind::kFail;
    result.detail = describe(worst.row, worst.element, worst.got, worst.expected) + ", " +
                    budget_text(share) + " (two error budgets)";
    return false;
  }
  return true;
}

bool run_and_demand(const CaseContext& context, const Realised& other, const PairOptions& pairs,
                    Strength strength, const std::string& relation, CheckResult& result) {
  const CallResult run = context.candidate.call(other.call, context.options);
  if (auto failure = failure_of_call(result.check, run)) {
    result = std::move(*failure);
    result.detail = relation + ": " + result.detail;
    return false;
  }
  return demand_same_rows(context, other, run, pairs, strength, relation, result);
}

}  // namespace packproof
