#include "harness/run/checks.h"

#include <algorithm>

namespace packproof {

CheckResult check_reference(const CaseContext& context) {
  CheckResult result{.check = "reference", .outcome = OutcomeKind::kPass};
  for (const auto& [name, rows] : context.realised.rows) {
    const BudgetReport report =
        compare_with_budget(context.base.outputs.at(name), context.expectation.outputs.at(name),
                            context.expectation.allowed.at(name), rows);
    if (report.worst.row < 0 || report.worst.budget_used < result.budget_used) continue;
    result.budget_used = report.worst.budget_used;
    if (report.within()) continue;
    const Row& row = rows[static_cast<std::size_t>(report.worst.row)];
    result.outcome = OutcomeKind::kFail;
    result.detail = element_text(name, row, report.worst.element) + " (" +
                    std::string(name_of(row.region)) + "): expected " +
                    number_text(report.worst.expected) + " within " +
                    number_text(report.worst.allowed) + ", found " + number_text(report.worst.got) +
                    ", " + budget_text(report.worst.budget_used);
  }
  return result;
}

CheckResult check_written(const CaseContext& context) {
  CheckResult result{.check = "written", .outcome = OutcomeKind::kPass};
  const auto fail = [&](std::string detail) {
    result.outcome = OutcomeKind::kFail;
    result.detail = std::move(detail);
    return result;
  };
  CallOptions options = context.options;
  options.poison = kOtherPoison;
  const CallResult other = context.candidate.call(context.realised.call, options);
  for (const CallResult* run : {&context.base, &other}) {
    if (const auto failure = failure_of_call("written", *run)) return *failure;
  }
  for (const auto& [name, rows] : context.realised.rows) {
    const Tensor& first = context.base.outputs.at(name);
    const Tensor& second = other.outputs.at(name);
    const auto element = [&](const BitDifference& found) {
      return element_text(name, rows[static_cast<std::size_t>(found.row)], found.element);
    };
    if (const auto found = first_unwritten(first, kPoison, second, kOtherPoison, rows);
        !found.equal()) {
      return fail(element(found) + " was never written");
    }
    // Both colours: what a kernel computes from rows of NaN may have the bits of one of them.
    for (const auto& [output, poison] : {std::pair(&first, kPoison), {&second, kOtherPoison}}) {
      if (const auto found = first_trespass(*output, poison, rows); !found.equal()) {
        return fail(element(found) + " lies after cu_seqlens[-1] and was written");
      }
    }
    std::vector<RowPair> owned;
    for (int64_t r = 0; r < row_count(rows); ++r) {
      const Row& row = rows[static_cast<std::size_t>(r)];
      if (row.kind != RowKind::kSlack) owned.push_back({r, r});
    }
    const BitDifference difference =
        first_bit_difference(first, second, row_count(rows), row_count(rows), owned);
    if (!difference.equal()) {
      return fail(element(difference) + " differs between two runs: " +
                  number_text(difference.first) + " and " + number_text(difference.second));
    }
    if (const TensorSchema* schema =
            find_schema(context.realised.call.op, context.realised.call.direction, name, true);
        schema->role == TensorRole::kPool) {
      std::vector<RowPair> untouched;
      for (int64_t r = 0; r < row_count(rows); ++r) {
        if (rows[static_cast<std::size_t>(r)].kind == RowKind::kUntouched)
          untouched.push_back({r, r});
      }
      const BitDifference touched = first_bit_difference(
          first, context.realised.call.input(name), row_count(rows), row_count(rows), untouched);
      if (!touched.equal()) {
        return fail("slot " + std::to_string(touched.row) + " of '" + name +
                    "', which no index names, was changed");
      }
    }
  }
  return result;
}

CheckResult check_schedule(const CaseContext& context) {
  CheckResult result{.check = "schedule", .outcome = OutcomeKind::kPass};
  for (const uint64_t seed : {UINT64_C(2), UINT64_C(0x9E3779B97F4A7C14)}) {
    CallOptions options = context.options;
    // Bit 0 picks how matrix products are summed on the host (kernels/simt), which may change bits:
    // the runs share it with the first one.
    constexpr uint64_t kArithmetic = 1;
    options.schedule_seed = (seed ^ (context.packed.spec.seed & ~kArithmetic)) |
                            (context.options.schedule_seed & kArithmetic);
    const CallResult run = context.candidate.call(context.realised.call, options);
    if (const auto failure = failure_of_call("schedule", run)) return *failure;
    for (const auto& [name, rows] : context.realised.rows) {
      std::vector<RowPair> owned;
      for (int64_t r = 0; r < row_count(rows); ++r) {
        if (rows[static_cast<std::size_t>(r)].kind != RowKind::kSlack) owned.push_back({r, r});
      }
      const BitDifference found =
          first_bit_difference(context.base.outputs.at(name), run.outputs.at(name), row_count(rows),
                               row_count(rows), owned);
      if (found.equal()) continue;
      result.outcome = OutcomeKind::kFail;
      result.detail = element_text(name, rows[static_cast<std::size_t>(found.row)], found.element) +
                      " depends on the order of threads (schedule seed " +
                      std::to_string(options.schedule_seed) + "): " + number_text(found.first) +
                      " and " + number_text(found.second);
      return result;
    }
  }
  return result;
}

}  // namespace packproof
