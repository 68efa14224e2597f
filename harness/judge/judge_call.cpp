#include "harness/judge/judge_call.h"

#include "harness/judge/gathered_call.h"
#include "harness/oracle/compare.h"
#include "harness/run/judge.h"

#include <algorithm>
#include <map>
#include <string>

namespace packproof {
namespace {

/// Values of one direction of a call beside those of the definition on some spans.
struct Comparison {
  double budget_used = 0.0;
  std::string first_wrong;  ///< Empty when within the budgets: place, values, share of the budget.
};

/// The first row, by output and then by token, of which an element is beyond its budget.
std::string first_wrong_row(const std::string& name, const Tensor& got, const Tensor& expected,
                            const Tensor& allowed, const RowMap& rows) {
  const int64_t per_row = got.numel() / static_cast<int64_t>(rows.size());
  const auto flat = [&](const Tensor& tensor) {
    return tensor.reshaped({static_cast<int64_t>(rows.size()), per_row});
  };
  const Tensor flat_got = flat(got);
  const Tensor flat_expected = flat(expected);
  const Tensor flat_allowed = flat(allowed);
  for (int64_t r = 0; r < static_cast<int64_t>(rows.size()); ++r) {
    const Row& row = rows[static_cast<std::size_t>(r)];
    const BudgetReport report =
        compare_with_budget(flat_got.slice(0, r, r + 1), flat_expected.slice(0, r, r + 1),
                            flat_allowed.slice(0, r, r + 1), {row});
    if (report.within()) continue;
    return element_text(name, row, report.worst.element) + " (" + std::string(name_of(row.region)) +
           ") is the first that differs: expected " + number_text(report.worst.expected) +
           " within " + number_text(report.worst.allowed) + ", found " +
           number_text(report.worst.got) + ", " + budget_text(report.worst.budget_used);
  }
  return {};
}

using Comparisons = std::map<std::string, Comparison>;  ///< By output name.

Result<Comparisons> compare(const MappedCall& call, const GatheredCall& gathered,
                            const reference::Reference& reference) {
  const bool backward = gathered.realised.call.direction == Direction::kBackward;
  PACKPROOF_TRY(const Expectation expectation,
                expect(gathered.realised, reference,
                       backward ? call.backward_roundoff : call.forward_roundoff));
  Comparisons results;
  for (const auto& [name, got] : gathered.got) {
    const RowMap& rows = gathered.realised.rows.at(name);
    const Tensor& expected = expectation.outputs.at(name);
    const Tensor& allowed = expectation.allowed.at(name);
    if (got.shape() != expected.shape()) {
      return invalid_input("expected '" + name + "' of shape " + shape_text(expected.shape()) +
                           ", found " + shape_text(got.shape()));
    }
    const BudgetReport report = compare_with_budget(got, expected, allowed, rows);
    if (report.worst.row < 0) continue;
    Comparison& result = results[name];
    result.budget_used = report.worst.budget_used;
    if (!report.within()) {
      result.first_wrong = first_wrong_row(name, got, expected, allowed, rows);
    }
  }
  return results;
}

/// Whether the definition, told what `told` says, gives the call's numbers.
bool reproduced(const MappedCall& call, const Sequences& told, Direction direction,
                const reference::Reference& reference) {
  const Result<GatheredCall> gathered = gather_call(call, told.spans, direction, false);
  if (!gathered.ok()) return false;
  const Result<Comparisons> comparisons = compare(call, *gathered, reference);
  return comparisons.ok() && std::ranges::all_of(*comparisons, [](const auto& comparison) {
           return comparison.second.first_wrong.empty();
         });
}

/// What the call was told against what is true, as a clause.
std::string fault_of(const MappedCall& call, const Sequences& truth, const Disagreement& found) {
  const std::string sequence = "sequence " + std::to_string(found.sequence);
  if (!call.given) {
    return "leaks: " + call.metadata + " was not given (" + call.remedy + "), so " + sequence +
           " reads on from sequence " + std::to_string(found.other);
  }
  return "the " + call.metadata + " that it was given says lengths " + lens_text(call.received) +
         " where " + truth.source + " says " + lens_text(truth) + ": " + sequence +
         (found.cut ? " is cut" : " reads on from sequence " + std::to_string(found.other));
}

/// Why numbers are wrong although the boundaries that were given are right.
std::string explanation(const MappedCall& call, const Sequences& truth, Direction direction,
                        const reference::Reference& reference) {
  const Sequences alone = sequences_of_rows(call.batch, call.length);
  if (call.given && first_disagreement(truth, alone).has_value() &&
      reproduced(call, alone, direction, reference)) {
    return "; accepted " + call.metadata + " and ignored it: these are the numbers without it";
  }
  return "; no missing metadata reproduce it";
}

struct Judgement {
  const MappedCall& call;
  const Sequences& truth;
  const std::vector<Span>& spans;  ///< Of the truth; one per state where `states` holds.
  const reference::Reference& reference;
  bool states;
};

CheckResult of_error(const char* check, const Error& error) {
  return {.check = check,
          .outcome = error.code == Code::kInternal || error.code == Code::kInfrastructure
                         ? OutcomeKind::kInternalError
                         : OutcomeKind::kNotSupported,
          .detail = error.message};
}

/// One result per output of the forward; one for all gradients.
std::vector<CheckResult> judge_values(const Judgement& subject, Direction direction) {
  const bool backward = direction == Direction::kBackward;
  const char* first_check = backward ? "gradients" : "output";
  const Result<GatheredCall> gathered =
      gather_call(subject.call, subject.spans, direction, subject.states);
  if (!gathered.ok()) return {of_error(first_check, gathered.error())};
  const Result<Comparisons> found = compare(subject.call, *gathered, subject.reference);
  if (!found.ok()) return {of_error(first_check, found.error())};
  std::vector<CheckResult> results;
  for (const auto& [name, comparison] : *found) {
    if (!backward || results.empty()) {
      results.push_back({.check = backward ? first_check : name, .outcome = OutcomeKind::kPass});
    }
    CheckResult& result = results.back();
    result.budget_used = std::max(result.budget_used, comparison.budget_used);
    if (comparison.first_wrong.empty() || result.outcome == OutcomeKind::kFail) continue;
    result.outcome = OutcomeKind::kFail;
    result.detail = comparison.first_wrong +
                    explanation(subject.call, subject.truth, direction, subject.reference);
  }
  if (results.empty()) {
    results.push_back(
        {.check = first_check, .outcome = OutcomeKind::kNotRun, .detail = "there is no token"});
  }
  return results;
}

CheckResult not_run(const char* check, const char* reason) {
  return {.check = check, .outcome = OutcomeKind::kNotRun, .detail = reason};
}

/// A call whose boundaries are missing or wrong: one failure that says all, and the numbers as its
/// evidence.
std::vector<CheckResult> judge_leak(const Judgement& subject, const Disagreement& found) {
  const MappedCall& call = subject.call;
  CheckResult boundaries{.check = "boundaries", .outcome = OutcomeKind::kFail};
  boundaries.detail = fault_of(call, subject.truth, found);
  CheckResult output = judge_values(subject, Direction::kForward).front();
  if (output.outcome == OutcomeKind::kPass) {
    boundaries.detail +=
        "; in this step the leak stays within the budgets (the gates forget quickly), in others "
        "it will not";
  } else if (output.outcome == OutcomeKind::kFail &&
             reproduced(call, call.received, Direction::kForward, subject.reference)) {
    boundaries.detail += "; " + output.detail.substr(0, output.detail.rfind("; ")) +
                         "; the numbers are those of the boundaries that it was told";
    boundaries.budget_used = output.budget_used;
    output = not_run("output", "the boundaries explain what is wrong");
  }
  std::vector<CheckResult> results{std::move(boundaries), std::move(output)};
  if (!call.gradients.empty()) {
    results.push_back(not_run("gradients", "the forward was told wrong boundaries"));
  }
  return results;
}

}  // namespace

std::vector<CheckResult> judge_call(const MappedCall& call, const Sequences& truth,
                                    const reference::Reference& reference) {
  if (const auto disagreement = first_disagreement(truth, call.received)) {
    return judge_leak({call, truth, truth.spans, reference, false}, *disagreement);
  }
  const std::vector<Span> spans = aligned(truth, call.received);
  const Judgement subject{call, truth, spans, reference, true};
  std::vector<CheckResult> results{{.check = "boundaries", .outcome = OutcomeKind::kPass}};
  for (CheckResult& result : judge_values(subject, Direction::kForward)) {
    results.push_back(std::move(result));
  }
  if (!call.gradients.empty() && !call.upstream.empty()) {
    results.push_back(judge_values(subject, Direction::kBackward).front());
  }
  return results;
}

}  // namespace packproof
