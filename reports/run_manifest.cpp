#include "reports/run_manifest.h"

#include "reports/shell_word.h"

#include <optional>
#include <string_view>

namespace packproof {
namespace {

/// The value of `field` in a case line.
std::optional<std::string> case_field(std::string_view line, std::string_view field) {
  std::size_t begin = 0;
  while (begin < line.size()) {
    const std::size_t end = std::min(line.find(' ', begin), line.size());
    const std::string_view word = line.substr(begin, end - begin);
    if (word.starts_with(field)) return std::string(word.substr(field.size()));
    begin = end + 1;
  }
  return std::nullopt;
}

}  // namespace

std::string repro_command(const RunManifest& manifest, const std::string& id,
                          const std::string& shrunk) {
  const std::string& line = shrunk.empty() ? id : shrunk;
  if (!case_field(line, "op=").has_value()) return manifest.command;
  std::string command = "packproof run ";
  if (!manifest.repro_options.empty()) command += manifest.repro_options + " ";
  return command + "--case " + shell_word(line);
}

std::string operation_of(const std::string& id) {
  const std::optional<std::string> op = case_field(id, "op=");
  if (!op.has_value()) return id.substr(0, id.find(' '));
  const std::optional<std::string> direction = case_field(id, "dir=");
  return direction.has_value() && *direction != "fwd" ? *op + " " + *direction : *op;
}

}  // namespace packproof
