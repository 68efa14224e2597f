#include "harness/cli/candidate_options.h"

#include "harness/candidate/process_candidate.h"
#include "harness/cli/choice_check.h"
#include "harness/cli/text_check.h"
#include "harness/worker/default_library.h"
#include "reports/shell_word.h"

#include <filesystem>

namespace packproof::cli {

void add_candidate_options(CLI::App& command, CandidateArguments& arguments) {
  CLI::Option* library =
      command
          .add_option("--library", arguments.kernel_library,
                      "Judge this shared library (C99 header packproof/kernel_abi.h)")
          ->check(some_text("a shared library"));
  CLI::Option* program =
      command
          .add_option(
              "--candidate", arguments.command,
              "Judge the program that this shell command starts (harness/candidate/PROTOCOL.md)")
          ->check(some_text("a command"))
          ->excludes(library);
  command
      .add_option("--device", arguments.device,
                  "host or cuda: where the kernels of this project run (default host)")
      ->check(one_of({"host", "cuda"}))
      ->excludes(library)
      ->excludes(program);
}

Result<std::unique_ptr<Candidate>> start_candidate(const CandidateArguments& arguments) {
  StartOptions options;
  if (!arguments.command.empty()) {
    options.shell_command = arguments.command;
  } else {
    std::string library = arguments.kernel_library;
    if (library.empty()) {
      PACKPROOF_TRY(library, default_library(arguments.device.empty() ? "host" : arguments.device));
    } else if (!std::filesystem::exists(library)) {
      return usage_error("--library: expected a shared library, found no file '" + library + "'");
    }
    options.argv = {executable_folder() + "/packproof", "worker", "--library",
                    std::filesystem::absolute(library).string()};
  }
  PACKPROOF_TRY(std::unique_ptr<ProcessCandidate> candidate,
                ProcessCandidate::start(std::move(options)));
  return std::unique_ptr<Candidate>(std::move(candidate));
}

std::string repro_options(const CandidateArguments& arguments) {
  if (!arguments.command.empty()) return "--candidate " + shell_word(arguments.command);
  if (!arguments.kernel_library.empty()) return "--library " + shell_word(arguments.kernel_library);
  const bool host = arguments.device.empty() || arguments.device == "host";
  return host ? "" : "--device " + arguments.device;
}

std::map<std::string, std::string> origin_of(const CandidateArguments& arguments) {
  if (!arguments.command.empty()) return {{"--candidate", arguments.command}};
  if (!arguments.kernel_library.empty()) {
    return {{"--library", std::filesystem::absolute(arguments.kernel_library).string()}};
  }
  return {{"--device", arguments.device.empty() ? "host" : arguments.device}};
}

Result<CandidateArguments> candidate_of(const std::map<std::string, std::string>& origin,
                                        const std::string& report) {
  CandidateArguments arguments;
  const std::pair<const char*, std::string*> options[] = {{"--library", &arguments.kernel_library},
                                                          {"--candidate", &arguments.command},
                                                          {"--device", &arguments.device}};
  for (const auto& [option, value] : options) {
    const auto found = origin.find(option);
    if (found != origin.end()) *value = found->second;
  }
  if (origin.size() == 1 && arguments.given()) return arguments;
  return usage_error(report +
                     ": expected a report that says how its candidate is started, found none; give "
                     "--library, --candidate or --device");
}

}  // namespace packproof::cli
