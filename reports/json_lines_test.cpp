#include "reports/json_lines.h"

#include "reports/sample_run.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace packproof {
namespace {

std::filesystem::path file_of_test() {
  const auto* info = testing::UnitTest::GetInstance()->current_test_info();
  return std::filesystem::path(testing::TempDir()) / (std::string(info->name()) + ".jsonl");
}

void write_text(const std::filesystem::path& path, std::string_view text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

CaseResult awkward_case() {
  CaseResult result = sample_case(
      "op=l2norm lens=1 seed=3",
      {{.check = "reference",
        .outcome = OutcomeKind::kFail,
        .detail = "quote \" backslash \\ line\nend \xC3\xA4",
        .budget_used = std::numeric_limits<double>::infinity(),
        .seconds = 0.1},
       {.check = "alone", .outcome = OutcomeKind::kPass, .detail = "", .budget_used = 1.0 / 3.0}});
  result.shrunk = "op=l2norm lens=1 seed=0";
  return result;
}

void expect_same(const CaseResult& left, const CaseResult& right) {
  EXPECT_EQ(left.id, right.id);
  EXPECT_EQ(left.suite, right.suite);
  EXPECT_EQ(left.variant, right.variant);
  EXPECT_EQ(left.shrunk, right.shrunk);
  ASSERT_EQ(left.checks.size(), right.checks.size());
  for (std::size_t i = 0; i < left.checks.size(); ++i) {
    EXPECT_EQ(left.checks[i].check, right.checks[i].check);
    EXPECT_EQ(left.checks[i].outcome, right.checks[i].outcome);
    EXPECT_EQ(left.checks[i].detail, right.checks[i].detail);
    EXPECT_EQ(left.checks[i].budget_used, right.checks[i].budget_used);
    EXPECT_EQ(left.checks[i].seconds, right.checks[i].seconds);
  }
}

TEST(JsonLines, PrintsAndParsesTheSameValues) {
  const auto manifest = parse_manifest_line(json_line(sample_manifest()), "x:1");
  ASSERT_TRUE(manifest.ok()) << manifest.error().message;
  EXPECT_EQ(*manifest, sample_manifest());
  const auto result = parse_case_line(json_line(awkward_case()), "x:2");
  ASSERT_TRUE(result.ok()) << result.error().message;
  expect_same(*result, awkward_case());
}

TEST(JsonLines, KeepsEveryOutcomeAndNan) {
  for (int kind = 0; kind <= static_cast<int>(OutcomeKind::kNotRun); ++kind) {
    const auto outcome = static_cast<OutcomeKind>(kind);
    const CaseResult result =
        sample_case("a", {{.check = "c", .outcome = outcome, .budget_used = std::nan("")}});
    const auto back = parse_case_line(json_line(result), "x:2");
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(back->checks[0].outcome, outcome);
    EXPECT_TRUE(std::isnan(back->checks[0].budget_used));
  }
}

TEST(JsonLines, IsOneLineOfValidUtf8WhateverACandidateSays) {
  const CaseResult result = sample_case(
      "a", {{.check = "c", .outcome = OutcomeKind::kCrash, .detail = "\xFF\xC0\x80 \n\r\x01"}});
  const std::string line = json_line(result);
  EXPECT_EQ(line.find_first_of("\n\r"), std::string::npos);
  const auto back = parse_case_line(line, "x:2");
  ASSERT_TRUE(back.ok()) << back.error().message;
  EXPECT_NE(back->checks[0].detail.find("\xEF\xBF\xBD"), std::string::npos);
}

TEST(JsonLines, EveryCaseIsInTheFileBeforeTheNext) {
  auto writer = JsonLinesWriter::create(file_of_test(), sample_manifest());
  ASSERT_TRUE(writer.ok()) << writer.error().message;
  for (int64_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(writer->write(sample_case("case " + std::to_string(i), {})).ok());
    const auto report = read_json_lines(file_of_test());
    ASSERT_TRUE(report.ok()) << report.error().message;
    EXPECT_EQ(report->results.size(), static_cast<std::size_t>(i));
  }
}

TEST(JsonLines, GoesOnAfterARunThatWasKilledWithinALine) {
  const std::string head = json_line(sample_manifest()) + "\n" + json_line(awkward_case()) + "\n";
  const std::string next = json_line(sample_case("op=rope lens=1 seed=9", {}));
  for (std::size_t kept = 0; kept < next.size(); ++kept) {
    write_text(file_of_test(), head + next.substr(0, kept));
    const auto report = read_json_lines(file_of_test());
    ASSERT_TRUE(report.ok()) << kept << ": " << report.error().message;
    EXPECT_EQ(report->ids(), std::set<std::string>{awkward_case().id});
    auto writer = JsonLinesWriter::resume(file_of_test(), *report, sample_manifest());
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    ASSERT_TRUE(writer->write(sample_case("op=rope lens=1 seed=9", {})).ok());
    ASSERT_EQ(text_of(file_of_test()), head + next + "\n") << kept;
  }
}

TEST(JsonLines, RefusesAMalformedLineWithItsNumber) {
  const std::string head = json_line(sample_manifest()) + "\n";
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "expected the result of one case, found \"\""},
      {"{\"type\":\"case\"",
       "expected the result of one case, found \"{\\\"type\\\":\\\"case\\\"\""},
      {json_line(sample_manifest()), "expected the result of one case"},
      {R"({"type":"case","suite":"s","variant":"","shrunk":"","checks":[]})",
       "id: expected a string, found nothing"},
      {R"({"type":"case","id":7,"suite":"s","variant":"","shrunk":"","checks":[]})",
       "id: expected a string, found 7"},
      {R"({"type":"case","id":"a","suite":"s","variant":"","shrunk":"","checks":{}})",
       "checks: expected a list, found {}"},
      {R"({"type":"case","id":"a","suite":"s","variant":"","shrunk":"","checks":[4]})",
       "checks: expected a list of objects, found [4]"},
      {R"({"type":"case","id":"a","suite":"s","variant":"","shrunk":"","checks":[{"check":"c","outcome":"MAYBE","detail":"","budget_used":0,"seconds":0}]})",
       "checks: outcome: expected an outcome's name, found \"MAYBE\""},
      {R"({"type":"case","id":"a","suite":"s","variant":"","shrunk":"","checks":[{"check":"c","outcome":"PASS","detail":"","budget_used":null,"seconds":0}]})",
       "checks: budget_used: expected a number, \"inf\", \"-inf\" or \"nan\", found null"},
  };
  for (const auto& [line, expected] : cases) {
    write_text(file_of_test(), head + line + "\n" + json_line(awkward_case()) + "\n");
    const auto report = read_json_lines(file_of_test());
    ASSERT_FALSE(report.ok()) << line;
    EXPECT_EQ(report.error().message.find(file_of_test().string() + ":2: " + expected), 0u)
        << report.error().message;
    EXPECT_EQ(report.error().message.find('\n'), std::string::npos);
  }
}

TEST(JsonLines, RefusesAFileWithoutAManifest) {
  const std::vector<std::pair<std::string, std::string>> cases{
      {"", "found no complete line"},
      {"{\"type\":\"mani", "found no complete line"},
      {json_line(awkward_case()) + "\n", "expected the manifest of a packproof run"},
      {"not a report\n", "expected the manifest of a packproof run, found \"not a report\""},
      {R"({"type":"manifest","format":2})"
       "\n",
       "format: expected 1, found 2"},
  };
  for (const auto& [text, expected] : cases) {
    write_text(file_of_test(), text);
    const auto report = read_json_lines(file_of_test());
    ASSERT_FALSE(report.ok()) << text;
    EXPECT_NE(report.error().message.find(expected), std::string::npos) << report.error().message;
  }
  EXPECT_FALSE(read_json_lines(file_of_test().string() + ".missing").ok());
  EXPECT_FALSE(read_json_lines(testing::TempDir()).ok());
}

TEST(JsonLines, RefusesToGoOnWithAnotherRun) {
  write_text(file_of_test(), json_line(sample_manifest()) + "\n");
  const auto report = read_json_lines(file_of_test());
  ASSERT_TRUE(report.ok()) << report.error().message;
  RunManifest other_seed = sample_manifest();
  other_seed.seed = 42;
  RunManifest other_library = sample_manifest();
  other_library.candidate_identity = "ffff";
  RunManifest later = sample_manifest();
  later.started = "2026-02-01T00:00:00Z";
  const auto refused = JsonLinesWriter::resume(file_of_test(), *report, other_seed);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message,
            file_of_test().string() +
                ": to go on, expected seed '18446744073709551615' as in the report, found '42'");
  EXPECT_FALSE(JsonLinesWriter::resume(file_of_test(), *report, other_library).ok());
  EXPECT_TRUE(JsonLinesWriter::resume(file_of_test(), *report, later).ok());
}

TEST(JsonLines, RefusesToGoOnWithOtherArguments) {
  write_text(file_of_test(), json_line(sample_manifest()) + "\n");
  const auto report = read_json_lines(file_of_test());
  ASSERT_TRUE(report.ok()) << report.error().message;
  const auto refusal = [&](void (*change)(RunManifest&)) {
    RunManifest other = sample_manifest();
    change(other);
    const auto writer = JsonLinesWriter::resume(file_of_test(), *report, other);
    const std::string head = file_of_test().string() + ": to go on, expected ";
    const std::string message = writer.ok() ? head + "nothing" : writer.error().message;
    EXPECT_EQ(message.find(head), 0u) << message;
    return message.substr(head.size());
  };
  EXPECT_EQ(refusal([](RunManifest& other) { other.arguments.erase("--check"); }),
            "--check 'written' as in the report, found none");
  EXPECT_EQ(refusal([](RunManifest& other) { other.arguments["--model"] = "/m"; }),
            "--model none as in the report, found '/m'");
  EXPECT_EQ(refusal([](RunManifest& other) { other.candidate_version = "1.3"; }),
            "candidate version '1.2' as in the report, found '1.3'");
  EXPECT_EQ(refusal([](RunManifest& other) { other.packproof_version = "0.2.0"; }),
            "packproof version '0.1.0' as in the report, found '0.2.0'");
}

TEST(JsonLines, ReadsReportsWithoutArgumentsButDoesNotGoOnWithThem) {
  std::string line = json_line(sample_manifest());
  const std::size_t begin = line.find("\"arguments\"");
  line.erase(begin, line.find("},", begin) + 2 - begin);
  write_text(file_of_test(), line + "\n");
  const auto report = read_json_lines(file_of_test());
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_TRUE(report->manifest.arguments.empty());
  const auto writer = JsonLinesWriter::resume(file_of_test(), *report, sample_manifest());
  ASSERT_FALSE(writer.ok());
  EXPECT_NE(writer.error().message.find("found one without 'arguments', of packproof 0.1.0"),
            std::string::npos)
      << writer.error().message;
}

TEST(JsonLines, RunsAgainWhatAFaultLeftUnfinished) {
  const auto of = [](const std::string& id, OutcomeKind outcome) {
    return json_line(sample_case(id, {{.check = "alone", .outcome = OutcomeKind::kPass},
                                      {.check = "written", .outcome = outcome}})) +
           "\n";
  };
  const std::string head = json_line(sample_manifest()) + "\n" + of("a", OutcomeKind::kResource) +
                           of("b", OutcomeKind::kFail) + of("c", OutcomeKind::kInternalError);
  write_text(file_of_test(), head);
  const auto first = read_json_lines(file_of_test());
  ASSERT_TRUE(first.ok()) << first.error().message;
  EXPECT_EQ(first->results.size(), 3u);
  EXPECT_EQ(first->ids(), std::set<std::string>{"b"});
  write_text(file_of_test(), head + of("a", OutcomeKind::kPass) + of("b", OutcomeKind::kPass));
  const auto second = read_json_lines(file_of_test());
  ASSERT_TRUE(second.ok()) << second.error().message;
  // The failure of b stands, whatever a second run says.
  ASSERT_EQ(second->results.size(), 4u);
  EXPECT_EQ(second->results[0].id, "b");
  EXPECT_EQ(second->results[1].id, "c");
  EXPECT_EQ(second->ids(), (std::set<std::string>{"a", "b"}));
}

TEST(JsonLines, SaysWhenItCannotWrite) {
  EXPECT_FALSE(JsonLinesWriter::create("/nonexistent/run.jsonl", sample_manifest()).ok());
  if (std::filesystem::exists("/dev/full")) {
    EXPECT_FALSE(JsonLinesWriter::create("/dev/full", sample_manifest()).ok());
  }
}

}  // namespace
}  // namespace packproof
