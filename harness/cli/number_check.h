#pragma once

#include <cmath>
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

inline CLI::Validator positive_number() {
  return number_check("a number above 0", [](double value) { return value > 0.0; });
}

inline CLI::Validator no_negative_number() {
  return number_check("a number of at least 0", [](double value) { return value >= 0.0; });
}

}  // namespace packproof
