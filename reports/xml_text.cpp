#include "reports/xml_text.h"

#include "reports/utf8.h"

namespace packproof {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD.

bool allowed_in_xml(char32_t c) { return c >= 0x20 && c != 0xFFFE && c != 0xFFFF; }

}  // namespace

std::string xml_text(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  while (!text.empty()) {
    const Utf8Character next = first_utf8_character(text);
    const std::string_view bytes = text.substr(0, next.length);
    text.remove_prefix(next.length);
    switch (next.code_point) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&apos;";
        break;
      case '\n':
        escaped += "&#10;";
        break;
      case '\r':
        escaped += "&#13;";
        break;
      case '\t':
        escaped += "&#9;";
        break;
      default:
        escaped += next.valid && allowed_in_xml(next.code_point) ? bytes : kReplacement;
    }
  }
  return escaped;
}

}  // namespace packproof
