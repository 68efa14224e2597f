#include "harness/cli/candidate_options.h"

#include "harness/candidate/process_candidate.h"
#include "harness/worker/default_library.h"

#include <filesystem>

namespace packproof::cli {

void add_candidate_options(CLI::App& command, CandidateArguments& arguments) {
  CLI::Option* library =
      command.add_option("--library", arguments.kernel_library,
                         "Judge this shared library (C99 header packproof/kernel_abi.h)");
  command
      .add_option(
          "--candidate", arguments.command,
          "Judge the program that this shell command starts (harness/candidate/PROTOCOL.md)")
      ->excludes(library);
  command
      .add_option("--device", arguments.device,
                  "host or cuda: where the kernels of this project run (default host)")
      ->check(CLI::IsMember({"host", "cuda"}));
}

Result<std::unique_ptr<Candidate>> start_candidate(const CandidateArguments& arguments) {
  StartOptions options;
  if (!arguments.command.empty()) {
    options.shell_command = arguments.command;
  } else {
    std::string library = arguments.kernel_library;
    if (library.empty()) {
      PACKPROOF_TRY(library, default_library(arguments.device));
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

}  // namespace packproof::cli
