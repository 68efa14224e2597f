#pragma once

#include "reports/terminal_style.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace packproof {

enum class Paint : uint8_t { kPlain, kDim, kBold, kGood, kBad, kCaution };

/// `text` in a colour where the style has colours.
std::string painted(const TerminalStyle& style, Paint paint, std::string_view text);

/// Filled with spaces to `width` columns; longer text stays whole.
std::string left_aligned(std::string_view text, std::size_t width);
std::string right_aligned(std::string_view text, std::size_t width);

/// "1,234,567".
std::string grouped(int64_t count);

/// "1 case", "2 cases".
std::string counted(int64_t count, std::string_view noun);

/// A share of a budget: "37 %", "0.4 %", "> 100 %" just above 1, "13.2 x", "inf", "nan"; "-" for 0.
std::string share_text(double share);

/// "3.2 s", "2 min 05 s".
std::string duration_text(double seconds);

/// Words on lines of at most `columns` columns, each after `indent` spaces; ends with a line end.
/// A word that is too long stands alone. Control characters become spaces, so that what a candidate
/// says cannot move the cursor.
std::string wrapped(std::string_view text, std::size_t indent, std::size_t columns);

/// The same with whole items, separated by commas.
std::string wrapped_list(std::span<const std::string> items, std::size_t indent,
                         std::size_t columns);

}  // namespace packproof
