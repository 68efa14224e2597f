#include "harness/bench/kernel_bench.h"
#include "harness/bench/reference_bench.h"
#include "harness/cli/candidate_options.h"
#include "harness/cli/commands.h"
#include "harness/run/reference_module.h"

#include <cstdio>
#include <fstream>
#include <memory>

namespace packproof::cli {
namespace {

struct BenchArguments {
  bool reference = false;
  bool quick = false;
  CandidateArguments candidate;
  KernelBenchOptions kernels;
  std::string json;
};

void show_progress(const std::string& step) { std::fprintf(stderr, "bench: %s\n", step.c_str()); }

int run_reference_bench(const BenchArguments& arguments) {
  const Result<const reference::Reference*> reference = load_reference();
  if (!reference.ok()) return report_error(reference.error());
  ReferenceBenchOptions options;
  if (arguments.quick) options = {.longest = 4096, .very_long_sequence = false};
  const Result<std::vector<BenchRow>> rows = bench_reference(**reference, options, show_progress);
  if (!rows.ok()) return report_error(rows.error());
  std::fputs(bench_table(*rows).c_str(), stdout);
  return kConforms;
}

int run_kernel_bench(const BenchArguments& arguments) {
  Result<std::unique_ptr<Candidate>> candidate = start_candidate(arguments.candidate);
  if (!candidate.ok()) return report_error(candidate.error());
  const Result<std::vector<KernelBenchRow>> rows =
      bench_kernels(**candidate, arguments.kernels, show_progress);
  if (!rows.ok()) return report_error(rows.error());
  std::fputs(kernel_bench_table(*rows).c_str(), stdout);
  if (arguments.json.empty()) return kConforms;
  std::ofstream file(arguments.json);
  file << kernel_bench_json(*rows, (*candidate)->info());
  if (!file.flush()) {
    return report_error(usage_error("--json: '" + arguments.json + "' could not be written"));
  }
  return kConforms;
}

}  // namespace

void add_bench(CLI::App& app, Body& body) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* command = app.add_subcommand(
      "bench", "Time a candidate's kernels, or the reference, on this machine (never a test)");
  add_candidate_options(*command, arguments->candidate);
  command->add_option("--layout", arguments->kernels.only,
                      "Only what has this in its name, as the table prints it");
  command->add_option("--repeats", arguments->kernels.repeats, "Runs per layout on a GPU (20)")
      ->check(CLI::Range(1, 10000));
  command->add_option("--json", arguments->json, "Write the measurements to this file too");
  command->add_flag("--reference", arguments->reference, "Time the double-precision reference");
  command->add_flag("--quick", arguments->quick, "With --reference: short sequences only");
  command->callback([arguments, &body] {
    body = [arguments] {
      return arguments->reference ? run_reference_bench(*arguments) : run_kernel_bench(*arguments);
    };
  });
}

}  // namespace packproof::cli
