#pragma once

#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

namespace packproof {

/// What an option takes, and found: empty where `text` is one of `names`.
inline std::string choice_fault(const std::vector<std::string>& names, const std::string& text) {
  std::string expected;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == text) return "";
    if (i > 0) expected += i + 1 == names.size() ? " or " : ", ";
    expected += names[i];
  }
  return "expected " + expected + ", found '" + text + "'";
}

/// Accepts these names.
inline CLI::Validator one_of(std::vector<std::string> names) {
  const auto check = [names = std::move(names)](const std::string& text) {
    return choice_fault(names, text);
  };
  return CLI::Validator(check, "");
}

/// Accepts the names of enumerators and hands the option their values. CLI11's own transformer
/// prints the values of small enumerations as characters.
template <typename Enum>
CLI::Validator enumerator_of(const std::vector<std::pair<std::string, Enum>>& choices) {
  std::vector<std::string> names;
  for (const auto& [name, value] : choices) names.push_back(name);
  const auto replace = [choices, names](std::string& text) {
    for (const auto& [name, value] : choices) {
      if (name != text) continue;
      text = std::to_string(static_cast<int>(value));
      return std::string();
    }
    return choice_fault(names, text);
  };
  return CLI::Validator(replace, "");
}

/// Lets an option take the names of enumerators.
template <typename Enum>
void take_enumerators(CLI::Option* option,
                      const std::vector<std::pair<std::string, Enum>>& choices) {
  option->type_name("TEXT")->transform(enumerator_of(choices));
}

}  // namespace packproof
