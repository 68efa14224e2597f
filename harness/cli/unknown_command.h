#pragma once

#include <optional>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace packproof::cli {

/// A sentence that names the first word that should be a subcommand of `app` (or of the subcommand
/// before it) and is none, and the nearest one; nothing where no such word stands.
std::optional<std::string> unknown_command(const CLI::App& app,
                                           const std::vector<std::string>& words);

}  // namespace packproof::cli
