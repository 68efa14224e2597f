#pragma once

#include <string>

#include <CLI/CLI.hpp>

namespace packproof {

/// Refuses an option that is given without a text: a script's variable that is not set must not
/// choose this option's default.
inline CLI::Validator some_text(const char* expected) {
  const auto check = [expected](const std::string& text) {
    return text.empty() ? "expected " + std::string(expected) + ", found ''" : std::string();
  };
  return CLI::Validator(check, "");
}

}  // namespace packproof
