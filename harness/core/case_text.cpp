#include "harness/core/case_text.h"

#include "harness/core/case_field.h"

#include <bitset>

namespace packproof {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::size_t kMaxQuoted = 60;

/// What a message shows of a text that a user may have pasted whole.
std::string quoted(std::string_view text) {
  std::string shown(1, '\'');
  shown.append(text.substr(0, kMaxQuoted)).append(text.size() > kMaxQuoted ? "...'" : "'");
  return shown;
}

std::string known_fields() {
  std::string names;
  for (const CaseField& field : case_fields()) {
    names += (names.empty() ? "" : ", ") + std::string(field.name);
  }
  return names;
}

/// Cuts the next word off `text`; empty when none is left.
std::string_view next_word(std::string_view& text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  text.remove_prefix(begin);
  const std::size_t end = std::min(text.find_first_of(kBlanks), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::size_t index_of_field(std::string_view name) {
  const std::span<const CaseField> fields = case_fields();
  std::size_t index = 0;
  while (index < fields.size() && fields[index].name != name) ++index;
  return index;
}

}  // namespace

std::string to_text(const CaseSpec& spec) {
  const CaseSpec defaults;
  std::string text;
  for (const CaseField& field : case_fields()) {
    const std::string value = field.print(spec);
    if (!field.always_printed && value == field.print(defaults)) continue;
    if (!text.empty()) text += ' ';
    text += std::string(field.name) + '=' + value;
  }
  return text;
}

Result<CaseSpec> parse_case(std::string_view text) {
  CaseSpec spec;
  std::bitset<64> seen;
  for (std::string_view word = next_word(text); !word.empty(); word = next_word(text)) {
    const std::size_t equals = word.find('=');
    if (equals == std::string_view::npos) {
      return usage_error("case: expected fields like dtype=bf16, found " + quoted(word));
    }
    const std::string_view name = word.substr(0, equals);
    const std::string_view value = word.substr(equals + 1);
    const std::size_t index = index_of_field(name);
    if (index == case_fields().size()) {
      return usage_error("case: expected a field among " + known_fields() + ", found " +
                         quoted(name));
    }
    if (seen.test(index)) {
      return usage_error("case: expected field " + std::string(name) + " once, found it again as " +
                         quoted(word));
    }
    seen.set(index);
    if (const Status status = case_fields()[index].parse(value, spec); !status.ok()) {
      return usage_error(std::string(name) + ": " + status.error().message + ", found " +
                         quoted(value));
    }
  }
  if (!seen.test(index_of_field("op"))) {
    return usage_error("case: expected a field op, found none");
  }
  PACKPROOF_CHECK_OK(validate(spec));
  return spec;
}

}  // namespace packproof
