#pragma once

#include "harness/run/judge.h"

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace packproof {

/// One property of one case. Every check takes any candidate; what it demands depends on what the
/// candidate promises (bits or budgets).
struct Check {
  std::string_view name;
  std::string_view description;

  /// Why the check says nothing about this case; empty when it applies.
  std::function<std::optional<std::string>(const CaseContext&)> skip_reason;
  std::function<CheckResult(const CaseContext&)> run;
};

/// Padded batches above this many rows are left to the smaller cases.
inline constexpr int64_t kPaddedRowLimit = 1 << 16;

/// In the order in which they run: cheap and telling first.
std::span<const Check> all_checks();

/// The check of calls beyond the declared limits; no other check runs on them.
inline constexpr std::string_view kUndeclaredCheck = "undeclared";

/// Of an undeclared call that was neither refused nor answered.
CheckResult result_of_undeclared_call(const std::string& undeclared, const CallResult& call);

CheckResult check_undeclared(const CaseContext& context);
CheckResult check_reference(const CaseContext& context);
CheckResult check_written(const CaseContext& context);
CheckResult check_alone(const CaseContext& context);
CheckResult check_right_padded(const CaseContext& context);
CheckResult check_left_padded(const CaseContext& context);
CheckResult check_permuted(const CaseContext& context);
CheckResult check_non_interference(const CaseContext& context);
CheckResult check_causality(const CaseContext& context);
CheckResult check_cut_and_carry(const CaseContext& context);
CheckResult check_decode(const CaseContext& context);
CheckResult check_schedule(const CaseContext& context);

}  // namespace packproof
