#include "harness/cli/commands.h"
#include "harness/worker/worker.h"

#include <memory>

#include <unistd.h>

namespace packproof::cli {

void add_worker(CLI::App& app, Body& body) {
  auto path = std::make_shared<std::string>();
  CLI::App* command = app.add_subcommand(
      "worker",
      "Load a kernel library and serve the process protocol on standard input and output");
  command->add_option("--library", *path, "The shared library (C99 header packproof/kernel_abi.h)")
      ->required();
  command->callback([path, &body] {
    body = [path] { return run_worker({.kernel_library = *path}, STDIN_FILENO, STDOUT_FILENO); };
  });
}

}  // namespace packproof::cli
