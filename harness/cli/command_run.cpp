#include "harness/cli/candidate_options.h"
#include "harness/cli/commands.h"
#include "harness/cli/number_check.h"
#include "harness/cli/run_session.h"
#include "harness/core/case_text.h"
#include "harness/run/checks.h"
#include "harness/run/plan.h"
#include "harness/run/random_plan.h"

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>

#include <unistd.h>

namespace packproof::cli {
namespace {

constexpr const char* kUpstreamSuite = "transformers-45034";

/// Lengths of the batches of fixtures/oracle/cases: one of every edge of chunk and convolution, many
/// tiny ones, one long one among short ones.
const std::map<std::string, std::vector<int64_t>>& oracle_batches() {
  static const std::map<std::string, std::vector<int64_t>> batches{
      {"edges", {1, 3, 4, 63, 64, 65, 2, 130}},
      {"dust", {1, 1, 1, 5, 2, 1, 4, 1}},
      {"imbalance", {1, 200, 3, 7}}};
  return batches;
}

PlantedFault fault_from(const std::string& withheld) {
  if (withheld == "seq_idx") return PlantedFault::kWithholdSeqIdx;
  if (withheld == "cu_seqlens") return PlantedFault::kWithholdCuSeqlens;
  if (withheld == "both") return PlantedFault::kWithholdBoth;
  return PlantedFault::kNone;
}

/// The cases to run: the lines given, else the suite's plan.
Result<std::vector<CaseSpec>> cases_of(const RunArguments& arguments, const CandidateInfo& info) {
  std::vector<CaseSpec> cases;
  for (const std::string& line : arguments.case_lines) {
    PACKPROOF_TRY(CaseSpec spec, parse_case(line));
    cases.push_back(std::move(spec));
  }
  if (!arguments.ops.empty()) {
    PACKPROOF_TRY(std::vector<CaseSpec> drawn, make_random_plan({.ops = arguments.ops,
                                                                 .directions = arguments.directions,
                                                                 .count = arguments.cases,
                                                                 .max_tokens = arguments.max_tokens,
                                                                 .seed = arguments.seed,
                                                                 .fixed = arguments.fixed},
                                                                info));
    cases.insert(cases.end(), drawn.begin(), drawn.end());
  }
  if (!cases.empty() || arguments.suite.empty() || arguments.suite == kUpstreamSuite) return cases;
  PlanOptions options;
  options.size = arguments.suite == "ci" ? SuiteSize::kCi : SuiteSize::kSmoke;
  options.seed = arguments.seed;
  options.offers = [&info](Op op, Direction direction) { return info.find(op, direction); };
  PACKPROOF_TRY(Plan plan, make_plan(options));
  return std::move(plan.cases);
}

Status check_names(const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    bool known = name == "call";
    for (const Check& check : all_checks()) known = known || check.name == name;
    if (!known) {
      return usage_error("--check: expected a name that `packproof list checks` prints, found '" +
                         name + "'");
    }
  }
  return {};
}

/// Models that the run judges: a folder named by the user, else the suites' small random model.
Result<std::vector<ModelRequest>> models_of(const RunArguments& arguments,
                                            const CandidateInfo& info) {
  std::vector<ModelRequest> models;
  const bool suite = arguments.suite == "smoke" || arguments.suite == "ci";
  if (arguments.no_model || (arguments.model.empty() && !suite)) return models;
  const std::vector<DType> dtypes = arguments.suite == "ci"
                                        ? std::vector<DType>{DType::kF32, DType::kBF16, DType::kF16}
                                        : std::vector<DType>{arguments.dtype};
  for (const DType dtype : dtypes) {
    ModelRequest request;
    request.folder = arguments.model;
    request.spec.name =
        arguments.model.empty()
            ? "random"
            : std::filesystem::path(arguments.model).lexically_normal().filename().string();
    request.spec.dtype = dtype;
    request.spec.seed = arguments.seed;
    request.spec.fault = fault_from(arguments.withheld);
    request.spec.time_limit =
        std::chrono::milliseconds(static_cast<int64_t>(arguments.time_limit * 1000));
    if (!arguments.lens.empty()) request.spec.lens = arguments.lens;
    if (info.model_modes.empty() || arguments.model.empty()) {
      if (!arguments.modes.empty() || arguments.gradients) {
        return usage_error(std::string(arguments.gradients ? "--gradients" : "--mode") +
                           ": expected a candidate that runs whole models, found " + info.name);
      }
      models.push_back(std::move(request));
      continue;
    }
    std::vector<std::string> modes = arguments.modes;
    if (modes.empty()) modes.push_back(info.model_modes.front());
    request.gradients = arguments.gradients;
    for (const std::string& mode : modes) {
      request.mode = mode;
      models.push_back(request);
    }
  }
  return models;
}

int run(const RunArguments& arguments) {
  if (const Status known = check_names(arguments.checks); !known.ok())
    return report_error(known.error());
  // Wrong lines are found before anything is started.
  for (const std::string& line : arguments.case_lines) {
    if (const Result<CaseSpec> spec = parse_case(line); !spec.ok())
      return report_error(spec.error());
  }
  RunSession session(arguments);
  if (const Status opened = session.open(); !opened.ok()) return report_error(opened.error());
  const Result<std::vector<CaseSpec>> cases = cases_of(arguments, session.candidate_info());
  if (!cases.ok()) return report_error(cases.error());
  const Result<std::vector<ModelRequest>> models = models_of(arguments, session.candidate_info());
  if (!models.ok()) return report_error(models.error());
  if (const Status loaded = session.load_models(*models); !loaded.ok()) {
    return report_error(loaded.error());
  }
  if (const Status ran = session.run_cases(*cases); !ran.ok()) return session.close(ran);
  if (const Status ran = session.run_models(*models); !ran.ok()) return session.close(ran);
  if (arguments.suite == kUpstreamSuite) {
    if (const Status ran = session.run_upstream(); !ran.ok()) return session.close(ran);
  }
  return session.close({});
}

}  // namespace

void add_run(CLI::App& app, Body& body) {
  auto arguments = std::make_shared<RunArguments>();
  CLI::App* command =
      app.add_subcommand("run", "Judge kernels on a suite, on single cases, or inside a model");
  command
      ->add_option("--suite", arguments->suite,
                   "smoke (when nothing else is chosen), ci or transformers-45034")
      ->check(CLI::IsMember({"smoke", "ci", kUpstreamSuite}));
  add_candidate_options(*command, arguments->candidate);
  command->add_option("--case", arguments->case_lines, "Run this case line (may be repeated)");
  std::map<std::string, Op> ops;
  for (const Op op : all_ops()) ops.emplace(name_of(op), op);
  command->add_option("--op", arguments->ops, "Random packings of this op (may be repeated)")
      ->transform(CLI::CheckedTransformer(ops));
  const std::map<std::string, Direction> directions{{"fwd", Direction::kForward},
                                                    {"bwd", Direction::kBackward}};
  command
      ->add_option("--direction", arguments->directions,
                   "With --op: fwd or bwd (default: what the candidate offers)")
      ->transform(CLI::CheckedTransformer(directions));
  command
      ->add_option("--cases", arguments->cases,
                   "With --op: packings per op and direction (default 16)")
      ->check(positive_number());
  command
      ->add_option("--max-tokens", arguments->max_tokens,
                   "With --op: tokens of a packing (default 256)")
      ->check(positive_number());
  command->add_option("--fix", arguments->fixed,
                      "With --op: fields that every packing gets, as in case lines: 'hk=1 hv=1'");
  command->add_option("--model", arguments->model,
                      "Judge inside the model of this folder (config.json, safetensors)");
  command->add_option("--mode", arguments->modes,
                      "With --model and a candidate that runs whole models: both, position_ids, "
                      "seq_idx, cu_seqlens or padded_left (default both)");
  command->add_option("--lens", arguments->lens, "With --model: lengths of its sequences, 1,3,64")
      ->delimiter(',')
      ->check(no_negative_number());
  command
      ->add_option_function<std::string>(
          "--batch",
          [arguments](const std::string& name) { arguments->lens = oracle_batches().at(name); },
          "With --model: lengths of a batch of fixtures/oracle, edges, dust or imbalance")
      ->check(CLI::IsMember({"edges", "dust", "imbalance"}))
      ->excludes("--lens");
  command->add_flag("--gradients", arguments->gradients,
                    "With --mode: compare the gradients of the loss too");
  const std::map<std::string, DType> dtypes{
      {"f32", DType::kF32}, {"bf16", DType::kBF16}, {"f16", DType::kF16}};
  command->add_option("--dtype", arguments->dtype, "dtype of the ops inside a model (default f32)")
      ->transform(CLI::CheckedTransformer(dtypes));
  command
      ->add_option("--withhold", arguments->withheld,
                   "Plant a wiring bug in the model: seq_idx, cu_seqlens or both never arrive")
      ->check(CLI::IsMember({"seq_idx", "cu_seqlens", "both"}));
  command->add_option("--check", arguments->checks, "Run this check only (may be repeated)");
  command->add_option("--seed", arguments->seed, "Seed of random packings (default 1)");
  command->add_option("--time-limit", arguments->time_limit, "Seconds per call (default 20)")
      ->check(positive_number());
  command->add_option("--junit", arguments->junit, "Write a JUnit XML report");
  command->add_option("--jsonl", arguments->jsonl, "Write a JSON lines report, case by case");
  command->add_flag("--resume", arguments->resume, "Go on where the --jsonl report ends");
  command->add_flag("--stop-at-first", arguments->stop_at_first, "Stop at the first failure");
  command->add_flag("--no-shrink", arguments->no_shrink, "Report failing cases as they are");
  command->add_flag("--no-model", arguments->no_model, "Leave the suite's model check out");
  command->callback([arguments, &body] {
    if (arguments->suite.empty() && arguments->case_lines.empty() && arguments->model.empty() &&
        arguments->ops.empty()) {
      arguments->suite = "smoke";
    }
    if (arguments->resume && arguments->jsonl.empty()) {
      throw CLI::RequiresError("--resume", "--jsonl");
    }
    if (!arguments->withheld.empty() && arguments->model.empty() && arguments->suite.empty()) {
      throw CLI::RequiresError("--withhold", "--model");
    }
    arguments->command = typed_command();
    body = [arguments] { return run(*arguments); };
  });
}

}  // namespace packproof::cli
