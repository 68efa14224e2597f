#include "harness/bench/kernel_bench.h"
#include "harness/bench/reference_bench.h"
#include "harness/cli/candidate_options.h"
#include "harness/cli/commands.h"
#include "harness/cli/number_check.h"
#include "harness/cli/output_path.h"
#include "harness/cli/text_check.h"
#include "harness/run/reference_module.h"
#include "harness/worker/cuda_device.h"
#include "harness/worker/host_device.h"

#include <cstdio>
#include <fstream>
#include <memory>
#include <utility>

namespace packproof::cli {
namespace {

struct BenchArguments {
  bool reference = false;
  bool quick = false;
  CandidateArguments candidate;
  KernelBenchOptions kernels;
  std::string against;
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

/// On the candidate's device, which nobody else uses meanwhile.
Result<DeviceRates> rates_of(const CandidateInfo& info) {
  if (info.device != "cuda") {
    HostDevice host;
    return measure_rates(host);
  }
  PACKPROOF_TRY(const std::unique_ptr<Device> device, make_cuda_device());
  return measure_rates(*device);
}

/// A bench judges nothing, but one that timed nothing must not look like one that did.
int exit_code_of(const KernelBench& bench) {
  const std::string refused(name_of(CallStatus::kNotSupported));
  bool refused_all = true;
  for (const KernelBenchRow& row : bench.rows) {
    if (row.time.status.empty()) return kConforms;
    refused_all = refused_all && row.time.status.starts_with(refused);
  }
  return report_error({refused_all ? Code::kNothingRan : Code::kCandidate,
                       "expected at least one kernel to be timed, found none"});
}

int run_kernel_bench(const BenchArguments& arguments) {
  if (const Status json = check_output("--json", arguments.json); !json.ok()) {
    return report_error(json.error());
  }
  Result<std::unique_ptr<Candidate>> candidate = start_candidate(arguments.candidate);
  if (!candidate.ok()) return report_error(candidate.error());
  std::unique_ptr<Candidate> other;
  if (!arguments.against.empty()) {
    CandidateArguments program;
    program.command = arguments.against;
    Result<std::unique_ptr<Candidate>> started = start_candidate(program);
    if (!started.ok()) return report_error(started.error());
    other = std::move(*started);
  }
  const Result<DeviceRates> rates = rates_of((*candidate)->info());
  if (!rates.ok()) return report_error(rates.error());
  const Result<KernelBench> bench =
      bench_kernels(**candidate, other.get(), *rates, arguments.kernels, show_progress);
  if (!bench.ok()) return report_error(bench.error());
  std::fputs(kernel_bench_table(*bench).c_str(), stdout);
  if (!arguments.json.empty()) {
    std::ofstream file(arguments.json);
    file << kernel_bench_json(*bench);
    if (!file.flush()) {
      return report_error(usage_error("--json: '" + arguments.json + "' could not be written"));
    }
  }
  return exit_code_of(*bench);
}

}  // namespace

void add_bench(CLI::App& app, Body& body) {
  auto arguments = std::make_shared<BenchArguments>();
  CLI::App* command = app.add_subcommand(
      "bench", "Time a candidate's kernels, or the reference, on this machine (never a test)");
  add_candidate_options(*command, arguments->candidate);
  command
      ->add_option("--layout", arguments->kernels.only,
                   "Only what has this in its name, as the table prints it")
      ->check(some_text("a part of a layout's name"));
  command
      ->add_option("--against", arguments->against,
                   "Time this program's kernels beside the candidate's (process protocol)")
      ->check(some_text("a command"));
  command->add_option("--repeats", arguments->kernels.repeats, "Runs per layout on a GPU (20)")
      ->transform(whole_number(1, 10000));
  command->add_option("--json", arguments->json, "Write the measurements to this file too")
      ->check(some_text("a path"));
  CLI::Option* reference =
      command->add_flag("--reference", arguments->reference, "Time the double-precision reference");
  for (const char* option :
       {"--library", "--candidate", "--device", "--layout", "--against", "--repeats", "--json"}) {
    reference->excludes(command->get_option(option));
  }
  command->add_flag("--quick", arguments->quick, "With --reference: short sequences only")
      ->needs(reference);
  command->callback([arguments, &body] {
    body = [arguments] {
      return arguments->reference ? run_reference_bench(*arguments) : run_kernel_bench(*arguments);
    };
  });
}

}  // namespace packproof::cli
