#include "reports/text_layout.h"

#include "reports/utf8.h"

#include <cmath>
#include <cstdio>
#include <utility>

namespace packproof {
namespace {

std::string formatted(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

std::string_view escape_of(Paint paint) {
  switch (paint) {
    case Paint::kDim:
      return "\033[2m";
    case Paint::kBold:
      return "\033[1m";
    case Paint::kGood:
      return "\033[32m";
    case Paint::kBad:
      return "\033[1;31m";
    case Paint::kCaution:
      return "\033[33m";
    case Paint::kPlain:
      break;
  }
  return "";
}

/// C0 and C1 control characters and spaces.
bool separates_words(const Utf8Character& c) {
  return c.valid && (c.code_point <= 0x20 || (c.code_point >= 0x7F && c.code_point <= 0x9F));
}

/// Puts words on lines.
class LineFiller {
 public:
  LineFiller(std::size_t indent, std::size_t columns) : indent_(indent), columns_(columns) {}

  void add(const std::string& word) {
    if (word.empty()) return;
    const std::size_t length = utf8_length(word);
    if (used_ > 0 && used_ + 1 + length > columns_) {
      text_ += '\n';
      used_ = 0;
    }
    if (used_ == 0) {
      text_.append(indent_, ' ');
      used_ = indent_;
    } else {
      text_ += ' ';
      ++used_;
    }
    text_ += word;
    used_ += length;
  }

  std::string take() {
    if (!text_.empty()) text_ += '\n';
    return std::move(text_);
  }

 private:
  std::size_t indent_;
  std::size_t columns_;
  std::size_t used_ = 0;  ///< Columns of the current line; 0 before its first word.
  std::string text_;
};

}  // namespace

std::string painted(const TerminalStyle& style, Paint paint, std::string_view text) {
  if (!style.colour || paint == Paint::kPlain) return std::string(text);
  std::string result(escape_of(paint));
  result += text;
  result += "\033[0m";
  return result;
}

std::string left_aligned(std::string_view text, std::size_t width) {
  std::string result(text);
  const std::size_t length = utf8_length(text);
  if (length < width) result.append(width - length, ' ');
  return result;
}

std::string right_aligned(std::string_view text, std::size_t width) {
  const std::size_t length = utf8_length(text);
  std::string result(length < width ? width - length : 0, ' ');
  result += text;
  return result;
}

std::string grouped(int64_t count) {
  std::string digits = std::to_string(count);
  const std::size_t first = count < 0 ? 1 : 0;
  for (std::size_t place = digits.size(); place > first + 3;) {
    place -= 3;
    digits.insert(place, ",");
  }
  return digits;
}

std::string counted(int64_t count, std::string_view noun) {
  std::string text = grouped(count) + " ";
  text += noun;
  if (count != 1) text += 's';
  return text;
}

std::string share_text(double share) {
  if (share == 0.0) return "-";
  if (std::isnan(share)) return "nan";
  if (std::isinf(share)) return "inf";
  if (share >= 1000.0) return formatted("%.1e x", share);
  // Rounding to one digit must not turn a share beyond the budget into one within it, or the reverse.
  if (share > 1.0) return share < 1.05 ? "> 100 %" : formatted("%.1f x", share);
  if (share < 1.0 && share > 0.995) return "< 100 %";
  const double percent = 100.0 * share;
  if (percent < 0.1) return "< 0.1 %";
  return formatted(percent < 9.95 ? "%.1f %%" : "%.0f %%", percent);
}

std::string duration_text(double seconds) {
  if (seconds < 59.95) return formatted("%.1f s", seconds);
  const int64_t whole = std::llround(seconds);
  const int64_t rest = whole % 60;
  return grouped(whole / 60) + " min " + (rest < 10 ? "0" : "") + std::to_string(rest) + " s";
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t columns) {
  LineFiller lines(indent, columns);
  std::string word;
  while (!text.empty()) {
    const Utf8Character next = first_utf8_character(text);
    if (separates_words(next)) {
      lines.add(word);
      word.clear();
    } else if (next.valid) {
      word += text.substr(0, next.length);
    } else {
      word += "\xEF\xBF\xBD";
    }
    text.remove_prefix(next.length);
  }
  lines.add(word);
  return lines.take();
}

std::string wrapped_list(std::span<const std::string> items, std::size_t indent,
                         std::size_t columns) {
  LineFiller lines(indent, columns);
  for (const std::string& item : items) {
    lines.add(&item == &items.back() ? item : item + ",");
  }
  return lines.take();
}

}  // namespace packproof
