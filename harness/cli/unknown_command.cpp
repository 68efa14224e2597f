#include "harness/cli/unknown_command.h"

#include <algorithm>
#include <numeric>

namespace packproof::cli {
namespace {

/// Characters inserted, left out, replaced or swapped with their neighbour (optimal string alignment).
std::size_t edits(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  std::iota(cost[0].begin(), cost[0].end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
    }
  }
  return cost[a.size()][b.size()];
}

/// The name that most of the word is of; empty when half of its characters would have to change.
std::string nearest(const std::string& word, const std::vector<const CLI::App*>& commands) {
  std::string best;
  std::size_t least = (word.size() + 1) / 2;
  for (const CLI::App* command : commands) {
    const std::size_t distance = edits(word, command->get_name());
    if (distance >= least) continue;
    least = distance;
    best = command->get_name();
  }
  return best;
}

}  // namespace

std::optional<std::string> unknown_command(const CLI::App& app,
                                           const std::vector<std::string>& words) {
  const CLI::App* parent = &app;
  std::string path = app.get_name();
  for (const std::string& word : words) {
    const std::vector<const CLI::App*> commands = parent->get_subcommands({});
    if (commands.empty() || word.starts_with("-")) return std::nullopt;
    const auto found =
        std::find_if(commands.begin(), commands.end(),
                     [&word](const CLI::App* command) { return command->get_name() == word; });
    if (found == commands.end()) {
      const std::string name = nearest(word, commands);
      return "expected a command of " + path + ", found '" + word + "'" +
             (name.empty() ? "" : "; the nearest is '" + name + "'") + " (" + path +
             " --help lists all)";
    }
    parent = *found;
    path += " " + word;
  }
  return std::nullopt;
}

}  // namespace packproof::cli
