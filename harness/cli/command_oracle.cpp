#include "harness/cli/commands.h"
#include "harness/truth/walk.h"

#include <cstdio>
#include <memory>

namespace packproof::cli {
namespace {

struct OracleArguments {
  std::string folder;
  bool verbose = false;
};

int run_oracle(const OracleArguments& arguments) {
  const auto progress = [](const std::string& step) {
    std::fprintf(stderr, "oracle: %s\n", step.c_str());
  };
  const Result<OracleReport> report = walk_oracle(arguments.folder, {}, progress);
  if (!report.ok()) return report_error(report.error());
  std::fputs(oracle_table(*report, arguments.verbose).c_str(), stdout);
  return report->conforms() ? kConforms : kDoesNotConform;
}

}  // namespace

void add_oracle(CLI::App& app, Body& body) {
  auto arguments = std::make_shared<OracleArguments>();
  CLI::App* command = app.add_subcommand(
      "oracle", "Compare the reference with tensors computed by transformers in float64");
  command
      ->add_option("folder", arguments->folder,
                   "A folder with models/ and cases/ (see fixtures/README.md)")
      ->required();
  command->add_flag("--verbose", arguments->verbose, "One line per tensor");
  command->callback([arguments, &body] { body = [arguments] { return run_oracle(*arguments); }; });
}

}  // namespace packproof::cli
