#pragma once

#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <CLI/CLI.hpp>

namespace packproof {

/// CLI11's own checks of numbers answer with the limits of double, digit by digit.
inline CLI::Validator number_check(const char* expected, bool (*holds)(double)) {
  const auto check = [expected, holds](const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    const bool is_number = !text.empty() && *end == '\0' && std::isfinite(value);
    if (is_number && holds(value)) return std::string();
    return "expected " + std::string(expected) + ", found '" + text + "'";
  };
  return CLI::Validator(check, "");
}

/// For time limits, which become milliseconds.
inline CLI::Validator seconds_number() {
  return number_check("a number of seconds from 0.001 to 86400",
                      [](double value) { return value >= 0.001 && value <= 86400.0; });
}

/// Decimal digits and nothing else, as a transform: CLI11 itself reads 010 as eight and -1 as 2^64 - 1.
inline CLI::Validator whole_number(uint64_t least, uint64_t most) {
  const auto check = [least, most](std::string& text) {
    uint64_t value = 0;
    const char* last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value);
    if (error != std::errc() || end != last || value < least || value > most) {
      return "expected a whole number from " + std::to_string(least) + " to " +
             std::to_string(most) + ", found '" + text + "'";
    }
    text = std::to_string(value);
    return std::string();
  };
  return CLI::Validator(check, "");
}

}  // namespace packproof
