#include "reports/utf8.h"

#include <array>

namespace packproof {
namespace {

/// A lead byte's pattern, and the smallest value that needs this many bytes.
struct Form {
  uint8_t mask;
  uint8_t lead;
  std::size_t length;
  char32_t smallest;
};

constexpr std::array<Form, 4> kForms{{
    {0x80, 0x00, 1, 0x0},
    {0xE0, 0xC0, 2, 0x80},
    {0xF0, 0xE0, 3, 0x800},
    {0xF8, 0xF0, 4, 0x10000},
}};

constexpr Utf8Character kInvalid{0xFFFD, 1, false};

}  // namespace

Utf8Character first_utf8_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<uint8_t>(text[i]); };
  for (const Form& form : kForms) {
    if ((byte(0) & form.mask) != form.lead) continue;
    if (text.size() < form.length) return kInvalid;
    char32_t code_point = byte(0) & static_cast<uint8_t>(~form.mask);
    for (std::size_t i = 1; i < form.length; ++i) {
      if ((byte(i) & 0xC0) != 0x80) return kInvalid;
      code_point = code_point << 6 | (byte(i) & 0x3F);
    }
    const bool surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
    if (code_point < form.smallest || surrogate || code_point > 0x10FFFF) return kInvalid;
    return {code_point, form.length, true};
  }
  return kInvalid;
}

std::size_t utf8_length(std::string_view text) {
  std::size_t count = 0;
  while (!text.empty()) {
    text.remove_prefix(first_utf8_character(text).length);
    ++count;
  }
  return count;
}

}  // namespace packproof
