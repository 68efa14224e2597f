#include "harness/core/outcome.h"

#include <set>

#include <gtest/gtest.h>

namespace packproof {
namespace {

CaseResult with(std::initializer_list<OutcomeKind> outcomes) {
  CaseResult result;
  for (const OutcomeKind outcome : outcomes) {
    CheckResult check;
    check.outcome = outcome;
    result.checks.push_back(check);
  }
  return result;
}

TEST(Outcome, TheWorstCheckDecides) {
  using enum OutcomeKind;
  EXPECT_EQ(outcome_of(with({})), kNotRun);
  EXPECT_EQ(outcome_of(with({kNotRun, kPass})), kPass);
  EXPECT_EQ(outcome_of(with({kNotSupported, kNotRun})), kNotSupported);
  EXPECT_EQ(outcome_of(with({kPass, kFail, kWaived})), kFail);
  EXPECT_EQ(outcome_of(with({kFail, kInternalError})), kFail);
  EXPECT_EQ(outcome_of(with({kCrash, kTimeout, kFail})), kCrash);
}

TEST(Outcome, EveryKindHasOneNameAndOneSentence) {
  std::set<std::string_view> names;
  for (int kind = 0; kind <= static_cast<int>(OutcomeKind::kNotRun); ++kind) {
    const auto outcome = static_cast<OutcomeKind>(kind);
    names.insert(name_of(outcome));
    EXPECT_TRUE(sentence_of(outcome).ends_with(".")) << name_of(outcome);
  }
  EXPECT_EQ(names.size(), 13U);
  EXPECT_EQ(name_of(OutcomeKind::kUnexpectedPass), "UNEXPECTED_PASS");
  EXPECT_EQ(name_of(OutcomeKind::kNotRun), "NOT_RUN");
}

TEST(Outcome, OnlyBrokenPromisesAreNonconforming) {
  EXPECT_TRUE(is_nonconforming(OutcomeKind::kFail));
  EXPECT_TRUE(is_nonconforming(OutcomeKind::kTimeout));
  EXPECT_FALSE(is_nonconforming(OutcomeKind::kNotSupported));
  EXPECT_FALSE(is_nonconforming(OutcomeKind::kInternalError));
}

}  // namespace
}  // namespace packproof
