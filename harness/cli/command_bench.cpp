#include "harness/bench/reference_bench.h"
#include "harness/cli/commands.h"
#include "harness/run/reference_module.h"

#include <cstdio>
#include <memory>

namespace packproof::cli {
namespace {

struct BenchArguments {
  bool reference = false;
  bool quick = false;
};

int run_reference_bench(const BenchArguments& arguments) {
  const Result<const reference::Reference*> reference = load_reference();
  if (!reference.ok()) return report_error(reference.error());
  ReferenceBenchOptions options;
  if (arguments.quick) options = {.longest = 4096, .very_long_sequence = false};
  const auto progress = [](const std::string& step) {
    std::fprintf(stderr, "bench: %s\n", step.c_str());
  };
  const Result<std::vector<BenchRow>> rows = bench_reference(**reference, options, progress);
  if (!rows.ok()) return report_error(rows.error());
  std::fputs(bench_table(*rows).c_str(), stdout);
  return kConforms;
}

}  // namespace

void add_bench(CLI::App& app, Body& body) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* command =
      app.add_subcommand("bench", "Time the reference on this machine (never a test)");
  command->add_flag("--reference", arguments->reference, "Time the double-precision reference")
      ->required();
  command->add_flag("--quick", arguments->quick, "Short sequences only, a few seconds");
  command->callback(
      [arguments, &body] { body = [arguments] { return run_reference_bench(*arguments); }; });
}

}  // namespace packproof::cli
