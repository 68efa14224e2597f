#include "harness/candidate/child_group.h"
#include "harness/cli/commands.h"
#include "harness/cli/unknown_command.h"
#include "reports/shell_word.h"

#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <new>

#include <CLI/CLI.hpp>

namespace packproof::cli {

int exit_code(const Error& error) {
  switch (error.code) {
    case Code::kUsage:
    case Code::kInvalidInput:
      return kBadUsage;
    case Code::kNothingRan:
      return kNothingRan;
    case Code::kCandidate:
      return kDoesNotConform;
    case Code::kInfrastructure:
    case Code::kInternal:
      return kMachineFault;
  }
  return kMachineFault;
}

int report_error(const Error& error) {
  std::fprintf(stderr, "packproof: %s\n", error.message.c_str());
  return exit_code(error);
}

std::string typed_command() {
  std::ifstream file("/proc/self/cmdline", std::ios::binary);
  std::string command;
  std::string word;
  while (std::getline(file, word, '\0')) {
    if (command.empty()) {
      command = std::filesystem::path(word).filename().string();
      continue;
    }
    command += " " + shell_word(word);
  }
  return command;
}

}  // namespace packproof::cli

int main(int argc, char** argv) {
  using namespace packproof::cli;
  std::signal(SIGPIPE, SIG_IGN);
  packproof::kill_groups_on_signals();
  CLI::App app{
      "packproof - conformance tests for kernels that pack sequences without padding.\n"
      "Judges a kernel library or program against a double-precision Qwen3.5 reference on random\n"
      "packings and whole models. Exit codes: 0 conforms, 1 does not, 2 bad usage or input,\n"
      "3 nothing ran, 4 machine fault (memory, device, worker)."};
  app.name("packproof");
  app.require_subcommand(1);
  app.set_version_flag("--version", PACKPROOF_VERSION);
  Body body;
  add_run(app, body);
  add_list(app, body);
  add_replay(app, body);
  add_oracle(app, body);
  add_bench(app, body);
  add_golden(app, body);
  add_inspect(app, body);
  add_judge(app, body);
  add_doctor(app, body);
  add_worker(app, body);
  if (const auto sentence = unknown_command(app, {argv + 1, argv + argc}); sentence.has_value()) {
    return report_error(packproof::usage_error(*sentence));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const bool help = error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success);
    app.exit(error);
    return help ? kConforms : kBadUsage;
  }
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return report_error(packproof::infrastructure_error("out of memory"));
  } catch (const std::exception& error) {
    return report_error(
        packproof::internal_error("a mistake of packproof: expected no exception, found '" +
                                  std::string(error.what()) + "'"));
  }
}
