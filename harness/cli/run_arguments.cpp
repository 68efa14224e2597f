#include "harness/cli/run_arguments.h"

#include "harness/core/op_call.h"

#include <filesystem>
#include <numeric>
#include <set>
#include <string_view>

namespace packproof::cli {
namespace {

/// In the order given, or sorted without repetitions when the container is.
template <typename Names>
std::string joined(const Names& names, const char* separator = ",") {
  std::string text;
  for (const auto& name : names) {
    if (!text.empty()) text += separator;
    text += std::string_view(name);
  }
  return text;
}

/// A folder's one name, however it was typed.
std::string folder_text(const std::string& folder) {
  std::error_code failure;
  const std::filesystem::path path = std::filesystem::weakly_canonical(folder, failure);
  return failure ? folder : path.string();
}

void require(const CLI::App& command, const char* option, const char* needed) {
  if (command.count(option) > 0 && command.count(needed) == 0) {
    throw CLI::RequiresError(option, needed);
  }
}

void exclude(const CLI::App& command, const char* option, const char* other) {
  if (command.count(option) > 0 && command.count(other) > 0) {
    throw CLI::ExcludesError(option, other);
  }
}

/// A whole model's checks have names of their own, and suites choose what they run themselves.
void check_suite(const CLI::App& command, const RunArguments& arguments) {
  exclude(command, "--suite", "--op");
  exclude(command, "--suite", "--case");
  exclude(command, "--no-model", "--model");
  exclude(command, "--check", "--model");
  if (arguments.suite == kUpstreamSuite && !arguments.checks.empty()) {
    throw CLI::ExcludesError("--check", "--suite transformers-45034");
  }
  if (arguments.suite == "ci" && command.count("--dtype") > 0) {
    throw CLI::ExcludesError("--dtype", "--suite ci");  // Which runs its model in every dtype.
  }
  if (arguments.withheld.empty()) return;
  exclude(command, "--withhold", "--no-model");
  exclude(command, "--withhold", "--check");
  const bool suite_has_model = arguments.suite == "smoke" || arguments.suite == "ci";
  if (arguments.model.empty() && !suite_has_model) {
    throw CLI::RequiresError("--withhold", "--model");
  }
}

void check_lens(const CLI::App& command, const std::vector<int64_t>& lens) {
  if (command.count("--lens") == 0) return;
  // No sum of lengths that are each within the limit overflows before memory for them ends.
  const int64_t tokens = std::accumulate(lens.begin(), lens.end(), int64_t{0});
  const char* wrong = tokens == 0               ? "at least one token"
                      : tokens > kMaxCaseTokens ? "at most 67108864 tokens in all"
                                                : nullptr;
  if (wrong == nullptr) return;
  throw CLI::ValidationError(
      "--lens", "expected " + std::string(wrong) + ", found " + std::to_string(tokens));
}

}  // namespace

static_assert(kMaxCaseTokens == 67108864, "a sentence above says so");

std::map<std::string, std::string> determining_arguments(const RunArguments& arguments) {
  std::map<std::string, std::string> texts{
      {"--suite", arguments.suite},
      {"--case", joined(arguments.case_lines, " | ")},
      {"--mode", joined(arguments.modes)},
      {"--withhold", arguments.withheld},
      {"--check", joined(std::set(arguments.checks.begin(), arguments.checks.end()))},
      {"--gradients", arguments.gradients ? "yes" : "no"},
      {"--no-model", arguments.no_model ? "yes" : "no"}};
  if (!arguments.model.empty()) {
    texts["--model"] = folder_text(arguments.model);
    texts["--dtype"] = name_of(arguments.dtype);
    std::vector<std::string> lens;
    for (const int64_t length : arguments.lens) lens.push_back(std::to_string(length));
    texts["--lens"] = joined(lens);
  }
  if (!arguments.ops.empty()) {
    std::vector<std::string_view> ops;
    for (const Op op : arguments.ops) ops.push_back(name_of(op));
    texts["--op"] = joined(ops);
    std::set<std::string_view> directions;
    for (const Direction direction : arguments.directions) directions.insert(name_of(direction));
    texts["--direction"] = joined(directions);
    texts["--cases"] = std::to_string(arguments.cases);
    texts["--max-tokens"] = std::to_string(arguments.max_tokens);
    texts["--fix"] = arguments.fixed;
  }
  std::erase_if(texts, [](const auto& entry) { return entry.second.empty(); });
  return texts;
}

void settle_run_options(const CLI::App& command, RunArguments& arguments) {
  for (const char* option : {"--direction", "--cases", "--max-tokens", "--fix"}) {
    require(command, option, "--op");
  }
  for (const char* option : {"--mode", "--lens", "--batch", "--gradients", "--dtype"}) {
    require(command, option, "--model");
  }
  require(command, "--resume", "--jsonl");
  if (arguments.suite.empty() && arguments.case_lines.empty() && arguments.model.empty() &&
      arguments.ops.empty()) {
    arguments.suite = "smoke";
  }
  check_suite(command, arguments);
  check_lens(command, arguments.lens);
}

}  // namespace packproof::cli
