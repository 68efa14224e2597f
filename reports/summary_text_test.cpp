#include "reports/summary_text.h"

#include "reports/run_tally.h"
#include "reports/sample_run.h"
#include "reports/utf8.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace packproof {
namespace {

using testing::AssertionFailure;
using testing::AssertionResult;
using testing::AssertionSuccess;

AssertionResult contains(const std::string& text, const std::string& wanted) {
  if (text.find(wanted) != std::string::npos) return AssertionSuccess();
  return AssertionFailure() << "no '" << wanted << "' in:\n" << text;
}

std::string last_line(const std::string& text) {
  const std::size_t begin = text.rfind('\n', text.size() - 2);
  return text.substr(begin + 1);
}

CheckResult passed(std::string check, double budget_used) {
  return {.check = std::move(check), .outcome = OutcomeKind::kPass, .budget_used = budget_used};
}

CheckResult skipped(std::string check, std::string reason) {
  return {.check = std::move(check), .detail = std::move(reason)};
}

std::vector<CaseResult> conforming_run() {
  std::vector<CaseResult> results;
  for (int i = 0; i < 3; ++i) {
    results.push_back(sample_case("op=rope lens=1 seed=" + std::to_string(i),
                                  {passed("reference", 0.1 * (i + 1)), passed("alone", 0.0),
                                   skipped("permuted", "one sequence")}));
  }
  results.push_back(sample_case("op=rope dir=bwd lens=1 seed=9",
                                {passed("reference", 0.02), passed("alone", 0.5)}));
  return results;
}

CaseResult failing_case() {
  CaseResult result = sample_case("op=l2norm lens=7 seed=5",
                                  {{.check = "reference",
                                    .outcome = OutcomeKind::kFail,
                                    .detail = "output of sequence 0, token 3: 0.5, expected 0.25",
                                    .budget_used = 13.2,
                                    .seconds = 1.5},
                                   {.check = "alone", .outcome = OutcomeKind::kFail}});
  result.shrunk = "op=l2norm lens=1 seed=5";
  return result;
}

TEST(SummaryText, EndsWithTheVerdict) {
  const std::vector<CaseResult> good = conforming_run();
  EXPECT_EQ(last_line(summary_text(sample_manifest(), good, {})),
            "conforms: 4 cases, 8 checks passed, 0.0 s in checks\n");
  std::vector<CaseResult> bad = good;
  bad.push_back(failing_case());
  EXPECT_EQ(last_line(summary_text(sample_manifest(), bad, {})),
            "does not conform: 1 of 5 cases failed, 1.5 s in checks\n");
  EXPECT_EQ(last_line(summary_text(sample_manifest(), {}, {})),
            "no verdict: no check passed or failed in 0 cases, 0.0 s in checks\n");
  const std::vector<CaseResult> idle{sample_case("a", {skipped("c", "why")})};
  EXPECT_EQ(last_line(summary_text(sample_manifest(), idle, {})),
            "no verdict: no check passed or failed in 1 case, 0.0 s in checks\n");
}

TEST(SummaryText, CasesThatWereRefusedAreNotCountedAsConforming) {
  std::vector<CaseResult> results = conforming_run();
  results.push_back(sample_case("op=rope lens=2 seed=3",
                                {{.check = "call", .outcome = OutcomeKind::kNotSupported}}));
  EXPECT_EQ(last_line(summary_text(sample_manifest(), results, {})),
            "conforms: 4 of 5 cases judged, 8 checks passed, 0.0 s in checks\n");
}

TEST(SummaryText, DoesNotSayConformsBesideUnfinishedChecks) {
  std::vector<CaseResult> results = conforming_run();
  results.push_back(sample_case("op=rope lens=1 seed=7",
                                {passed("reference", 0.1),
                                 {.check = "alone", .outcome = OutcomeKind::kResource},
                                 {.check = "permuted", .outcome = OutcomeKind::kInternalError}}));
  EXPECT_EQ(last_line(summary_text(sample_manifest(), results, {})),
            "not finished: 2 checks ended in a fault of the machine or of packproof, 9 passed, "
            "0.0 s in checks\n");
  EXPECT_TRUE(is_unfinished(results.back()));
  EXPECT_FALSE(is_unfinished(results.front()));
  results.push_back(failing_case());
  EXPECT_EQ(last_line(summary_text(sample_manifest(), results, {})),
            "does not conform: 1 of 6 cases failed, 2 checks not finished, 1.5 s in checks\n");
}

TEST(SummaryText, PutsFailuresFirstWithTheCommandThatReproducesThem) {
  std::vector<CaseResult> results = conforming_run();
  results.push_back(failing_case());
  const std::string text = summary_text(sample_manifest(), results, {});
  EXPECT_TRUE(contains(text,
                       "FAIL  reference\n"
                       "  op=l2norm lens=7 seed=5\n"
                       "  output of sequence 0, token 3: 0.5, expected 0.25\n"
                       "  packproof run --library build/x.so --case 'op=l2norm lens=1 seed=5'\n"));
  EXPECT_LT(text.find("FAIL  reference"), text.find("operation"));
}

TEST(SummaryText, SaysFirstWhatLimitsTheVerdict) {
  EXPECT_EQ(summary_text(sample_manifest(), conforming_run(), {}).find("source semantics only\n"),
            0u);
}

TEST(SummaryText, CountsWhatItDoesNotShow) {
  std::vector<CaseResult> results(7, failing_case());
  const std::string text = summary_text(sample_manifest(), results, {}, {.failures = 3});
  EXPECT_TRUE(contains(text, "and 11 more checks like these"));
  EXPECT_TRUE(contains(text, "14 FAIL"));
  std::vector<CaseResult> reasons;
  for (int i = 0; i < 6; ++i) {
    reasons.push_back(
        sample_case("a", {skipped("c", "reason " + std::to_string(i)), skipped("c", "reason 0")}));
  }
  const std::string skips = summary_text(sample_manifest(), reasons, {}, {.reasons = 2});
  EXPECT_TRUE(contains(skips, "no verdict: 12 checks\n        7  NOT_RUN c: reason 0\n"));
  EXPECT_TRUE(contains(skips, "        4  for 4 other reasons\n"));
}

TEST(SummaryText, TellsEachOperationItsWorstBudget) {
  std::vector<CaseResult> results = conforming_run();
  results.push_back(failing_case());
  const std::string text = summary_text(sample_manifest(), results, {});
  EXPECT_TRUE(contains(text, "  l2norm         1      -      1      -       13.2 x  "));
  EXPECT_TRUE(contains(text, "  rope           3      3      -      -         30 %  "));
  EXPECT_TRUE(contains(text, "  rope bwd       1      1      -      -         50 %  "));
  EXPECT_TRUE(contains(text, "  all            5      4      1      -\n"));
}

TEST(SummaryText, StatesTheStrengthThatWasObserved) {
  std::vector<CaseResult> results = conforming_run();
  results.push_back(failing_case());
  const std::string text = summary_text(sample_manifest(), results, {});
  EXPECT_TRUE(contains(text, "  rope       equal    alone (3)\n"));
  EXPECT_TRUE(contains(text, "  rope bwd   bounded  alone 50 % (1)\n"));
  EXPECT_TRUE(contains(text, "  l2norm     broken   alone (1 of 1)\n"));
}

TEST(SummaryText, NeverRanksANumberAboveNan) {
  const std::vector<CaseResult> results{sample_case(
      "op=rope lens=1 seed=0", {passed("reference", std::nan("")), passed("written", 0.5)})};
  EXPECT_TRUE(std::isnan(tally(results).operations.at("rope").worst_budget));
}

TEST(SummaryText, FitsItsColumnsExceptWhereLinesAreToBeCopied) {
  std::vector<CaseResult> results;
  for (const char* op : {"causal_conv1d", "recurrent_gated_delta_rule_update dir=bwd"}) {
    results.push_back(sample_case(
        std::string("op=") + op + " lens=1 seed=1",
        {passed("reference", 0.37), passed("alone", 0.0), passed("right_padded", 0.1),
         passed("left_padded", 0.2), passed("permuted", 0.3), passed("cut_and_carry", 0.0),
         skipped("decode",
                 "a reason that takes many words so that it has to be wrapped at the "
                 "end of a line of eighty columns")}));
  }
  for (const int columns : {80, 100, 120}) {
    std::string text = summary_text(sample_manifest(), results, {.columns = columns});
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      EXPECT_LE(utf8_length(text.substr(0, end)), static_cast<std::size_t>(columns))
          << text.substr(0, end);
      text.erase(0, end + 1);
    }
  }
}

TEST(SummaryText, IsAsciiWhereTheTerminalIs) {
  std::vector<CaseResult> results = conforming_run();
  results.push_back(failing_case());
  const std::string text = summary_text(sample_manifest(), results, {.unicode = false});
  EXPECT_TRUE(std::ranges::all_of(text, [](unsigned char c) { return c < 0x80; }));
  EXPECT_EQ(text.find('\033'), std::string::npos);
}

TEST(RunManifest, ReproducesACaseAndOtherwiseTheWholeRun) {
  const RunManifest manifest = sample_manifest();
  EXPECT_EQ(repro_command(manifest, "op=rope lens=1 seed=1", ""),
            "packproof run --library build/x.so --case 'op=rope lens=1 seed=1'");
  EXPECT_EQ(repro_command(manifest, "lens=1 op=rope variant=it's", ""),
            "packproof run --library build/x.so --case 'lens=1 op=rope variant=it'\\''s'");
  EXPECT_EQ(repro_command(manifest, "model dense_r3", ""), manifest.command);
}

TEST(RunManifest, NamesTheOperationOfAnId) {
  EXPECT_EQ(operation_of("op=rope lens=1"), "rope");
  EXPECT_EQ(operation_of("lens=1 dir=bwd op=rope"), "rope bwd");
  EXPECT_EQ(operation_of("op=rope dir=fwd"), "rope");
  EXPECT_EQ(operation_of("model dense_r3"), "model");
  EXPECT_EQ(operation_of(""), "");
}

}  // namespace
}  // namespace packproof
