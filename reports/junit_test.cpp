#include "reports/junit.h"

#include "reports/sample_run.h"

#include <cctype>
#include <fstream>
#include <iterator>
#include <map>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace packproof {
namespace {

/// Reads the subset of XML that a report uses and records every violation of its grammar.
class XmlReader {
 public:
  explicit XmlReader(std::string_view text) : text_(text) {
    constexpr std::string_view kDeclaration = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";
    if (!text_.starts_with(kDeclaration)) fail("declaration");
    place_ = kDeclaration.size();
    read_element();
    skip_text();
    if (place_ != text_.size()) fail("text after the root");
  }

  const std::string& error() const { return error_; }

  int64_t count(const std::string& tag) const {
    const auto entry = counts_.find(tag);
    return entry == counts_.end() ? 0 : entry->second;
  }

 private:
  void fail(const std::string& what) {
    if (error_.empty()) error_ = what + " at byte " + std::to_string(place_);
    place_ = text_.size();
  }

  bool accept(std::string_view wanted) {
    if (!text_.substr(place_).starts_with(wanted)) return false;
    place_ += wanted.size();
    return true;
  }

  std::string name() {
    const std::size_t begin = place_;
    while (place_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[place_])) || text_[place_] == '-')) {
      ++place_;
    }
    if (place_ == begin) fail("no name");
    return std::string(text_.substr(begin, place_ - begin));
  }

  /// Character data up to `end`: no markup, and only the references that are defined.
  void skip_until(char end) {
    while (place_ < text_.size() && text_[place_] != end) {
      if (text_[place_] == '<') return fail("bare <");
      if (text_[place_] == '&') {
        const std::size_t semicolon = text_.find(';', place_);
        const std::string_view reference = text_.substr(place_, semicolon - place_ + 1);
        if (reference != "&lt;" && reference != "&gt;" && reference != "&amp;" &&
            reference != "&quot;" && reference != "&apos;" && reference != "&#10;" &&
            reference != "&#13;" && reference != "&#9;") {
          return fail("unknown reference");
        }
      }
      ++place_;
    }
  }

  void skip_text() { skip_until(place_ < text_.size() ? '<' : '\0'); }

  void read_element() {
    if (!accept("<")) return fail("no element");
    const std::string tag = name();
    ++counts_[tag];
    while (accept(" ")) {
      name();
      if (!accept("=\"")) return fail("no attribute value");
      skip_until('"');
      if (!accept("\"")) return fail("open attribute");
    }
    if (accept("/>")) return;
    if (!accept(">")) return fail("open tag");
    for (skip_text(); error_.empty() && !text_.substr(place_).starts_with("</"); skip_text()) {
      read_element();
    }
    if (!accept("</" + tag + ">")) fail("no end of " + tag);
  }

  std::string_view text_;
  std::size_t place_ = 0;
  std::string error_;
  std::map<std::string, int64_t> counts_;
};

std::vector<CaseResult> run_with_every_outcome() {
  std::vector<CaseResult> results;
  for (int kind = 0; kind <= static_cast<int>(OutcomeKind::kNotRun); ++kind) {
    results.push_back(
        sample_case(kind % 2 == 0 ? "op=rope lens=1 seed=1" : "op=l2norm lens=1 seed=1",
                    {{.check = "c", .outcome = static_cast<OutcomeKind>(kind), .seconds = 0.25}}));
  }
  return results;
}

TEST(Junit, HasOneTestcasePerCaseAndCheckAndCountsThem) {
  const std::string xml = junit_xml(sample_manifest(), run_with_every_outcome());
  const XmlReader read(xml);
  EXPECT_EQ(read.error(), "");
  EXPECT_EQ(read.count("testsuite"), 2);
  EXPECT_EQ(read.count("testcase"), 13);
  EXPECT_EQ(read.count("failure"), 5);  // FAIL, UNEXPECTED_PASS, TIMEOUT, CRASH, DEVICE_LOST
  EXPECT_EQ(read.count("error"), 2);    // RESOURCE, INTERNAL_ERROR
  EXPECT_EQ(read.count("skipped"), 4);  // NOT_SUPPORTED, UNTRUSTED, WAIVED, NOT_RUN
  EXPECT_NE(xml.find("<testsuites name=\"packproof\" tests=\"13\" failures=\"5\" errors=\"2\" "
                     "skipped=\"4\" time=\"3.250000\">"),
            std::string::npos)
      << xml;
}

TEST(Junit, StaysXmlWhateverACandidateSays) {
  std::string every_byte;
  for (int byte = 0; byte < 256; ++byte) every_byte += static_cast<char>(byte);
  std::vector<CaseResult> results;
  for (const OutcomeKind outcome :
       {OutcomeKind::kFail, OutcomeKind::kNotSupported, OutcomeKind::kQualityWarning}) {
    results.push_back(sample_case("op=\"<&>' " + every_byte,
                                  {{.check = "]]><x>", .outcome = outcome, .detail = every_byte}}));
    results.back().variant = "<variant \"1\">";
  }
  const XmlReader read(junit_xml(sample_manifest(), results));
  EXPECT_EQ(read.error(), "");
  EXPECT_EQ(read.count("testcase"), 3);
  EXPECT_EQ(read.count("x"), 0);
}

TEST(Junit, NamesTheCaseTheBudgetAndTheCommandOfAFailure) {
  CaseResult result = sample_case("op=rope lens=9 seed=1", {{.check = "reference",
                                                             .outcome = OutcomeKind::kFail,
                                                             .detail = "0.5, expected 0.25",
                                                             .budget_used = 13.25}});
  result.shrunk = "op=rope lens=1 seed=1";
  const std::string xml = junit_xml(sample_manifest(), {&result, 1});
  for (const char* expected :
       {"<testcase classname=\"rope\" name=\"reference: op=rope lens=9 seed=1\"",
        "<property name=\"budget_used\" value=\"13.25\"/>",
        "<property name=\"variant\" value=\"portable\"/>",
        "<failure type=\"FAIL\" message=\"0.5, expected 0.25\">",
        "packproof run --library build/x.so --case &apos;op=rope lens=1 seed=1&apos;</failure>",
        "<property name=\"seed\" value=\"18446744073709551615\"/>",
        "<property name=\"libtorch\" value=\"1.13.1\"/>"}) {
    EXPECT_NE(xml.find(expected), std::string::npos) << expected << "\n" << xml;
  }
}

TEST(Junit, ShowsACaseWithoutChecksAsSkipped) {
  const CaseResult result = sample_case("op=rope lens=1 seed=1", {});
  const XmlReader read(junit_xml(sample_manifest(), {&result, 1}));
  EXPECT_EQ(read.error(), "");
  EXPECT_EQ(read.count("skipped"), 1);
}

TEST(Junit, KeepsNotesAsProperties) {
  const std::string xml =
      junit_xml(sample_manifest(), std::vector<CaseResult>{sample_case("a", {})});
  EXPECT_NE(xml.find("<property name=\"note\" value=\"source semantics only\"/>"),
            std::string::npos);
}

TEST(Junit, IsValidWithoutAnyCase) {
  EXPECT_EQ(XmlReader(junit_xml(sample_manifest(), {})).error(), "");
}

TEST(Junit, ReplacesAFileAndLeavesNothingBeside) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / "packproof_junit_test";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directory(folder);
  for (int round = 0; round < 2; ++round) {
    const Status status =
        write_junit(folder / "report.xml", sample_manifest(), run_with_every_outcome());
    ASSERT_TRUE(status.ok()) << status.error().message;
  }
  std::ifstream file(folder / "report.xml", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(text, junit_xml(sample_manifest(), run_with_every_outcome()));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 1);
  EXPECT_FALSE(write_junit(folder / "none" / "report.xml", sample_manifest(), {}).ok());
  EXPECT_TRUE(write_junit("/dev/null", sample_manifest(), {}).ok());
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
}

}  // namespace
}  // namespace packproof
