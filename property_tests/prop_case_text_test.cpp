#include "harness/core/case_text.h"
#include "property_tests/generators/gen_case.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace packproof {
namespace {

constexpr int64_t kMaxTokens = 400;

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin <= line.size();) {
    const std::size_t end = std::min(line.find(' ', begin), line.size());
    words.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

RC_GTEST_PROP(CaseText, ParseIsTheInverseOfPrint, ()) {
  const CaseSpec spec = *gen_any_case(kMaxTokens);
  const Result<CaseSpec> parsed = parse_case(to_text(spec));
  RC_ASSERT(parsed.ok());
  RC_ASSERT(*parsed == spec);
}

RC_GTEST_PROP(CaseText, TheOrderOfFieldsDoesNotMatter, ()) {
  const CaseSpec spec = *gen_any_case(kMaxTokens);
  std::vector<std::string> words = words_of(to_text(spec));
  std::string line;
  while (!words.empty()) {
    const auto chosen = words.begin() + *rc::gen::inRange<std::ptrdiff_t>(
                                            0, static_cast<std::ptrdiff_t>(words.size()));
    line += *chosen + ' ';
    words.erase(chosen);
  }
  const Result<CaseSpec> parsed = parse_case(line);
  RC_ASSERT(parsed.ok());
  RC_ASSERT(*parsed == spec);
  RC_ASSERT(to_text(*parsed) == to_text(spec));
}

RC_GTEST_PROP(CaseText, AFieldGivenTwiceIsRefused, ()) {
  const std::string line = to_text(*gen_any_case(kMaxTokens));
  const std::vector<std::string> words = words_of(line);
  const std::string& word = *rc::gen::elementOf(words);
  const Result<CaseSpec> parsed = parse_case(line + ' ' + word);
  RC_ASSERT(!parsed.ok());
  RC_ASSERT(parsed.error().message.find("once") != std::string::npos);
}

// Whatever the bytes: an error of one sentence or a valid case, never a crash.
RC_GTEST_PROP(CaseText, DamagedLinesAreRefusedOrValid, ()) {
  std::string line = to_text(*gen_any_case(kMaxTokens));
  const std::size_t at = *rc::gen::inRange<std::size_t>(0, line.size());
  line[at] = *rc::gen::element(' ', '=', ',', 'x', '-', '9', 'z', '\0', '\xFF');
  const Result<CaseSpec> parsed = parse_case(line);
  if (parsed.ok()) {
    RC_ASSERT(validate(*parsed).ok());
  } else {
    RC_ASSERT(!parsed.error().message.empty());
    RC_ASSERT(parsed.error().message.find('\n') == std::string::npos);
  }
}

}  // namespace
}  // namespace packproof
