#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace packproof {

struct Utf8Character {
  char32_t code_point = 0;  ///< 0xFFFD where the bytes are not UTF-8.
  std::size_t length = 1;   ///< Bytes to skip, at least 1.
  bool valid = false;
};

/// Decodes the first character of a text that is not empty. Overlong forms, surrogates and values
/// above 0x10FFFF are not UTF-8; then one byte is consumed.
Utf8Character first_utf8_character(std::string_view text);

/// Number of characters: the columns of a terminal for the texts that reports hold.
std::size_t utf8_length(std::string_view text);

}  // namespace packproof
