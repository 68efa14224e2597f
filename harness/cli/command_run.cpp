#include "harness/cli/commands.h"
#include "harness/cli/run_session.h"
#include "harness/core/case_text.h"
#include "harness/run/checks.h"
#include "harness/run/plan.h"
#include "harness/run/random_plan.h"

#include <filesystem>
#include <memory>

namespace packproof::cli {
namespace {

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

/// "m" for m, m/ and, in it, "."; a report names a model by it.
std::string folder_name(const std::string& folder) {
  const std::filesystem::path path = std::filesystem::absolute(folder).lexically_normal();
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

/// Models that the run judges: a folder named by the user, else the suites' small random model.
Result<std::vector<ModelRequest>> models_of(const RunArguments& arguments,
                                            const CandidateInfo& info) {
  std::vector<ModelRequest> models;
  const bool suite = arguments.suite == "smoke" || arguments.suite == "ci";
  // A model's checks are none of those that --check names.
  const bool left_out = arguments.no_model || !arguments.checks.empty();
  if (left_out || (arguments.model.empty() && !suite)) return models;
  const std::vector<DType> dtypes = arguments.suite == "ci"
                                        ? std::vector<DType>{DType::kF32, DType::kBF16, DType::kF16}
                                        : std::vector<DType>{arguments.dtype};
  for (const DType dtype : dtypes) {
    ModelRequest request;
    request.folder = arguments.model;
    request.spec.name = arguments.model.empty() ? "random" : folder_name(arguments.model);
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
    if (!arguments.withheld.empty()) {
      return usage_error("--withhold: expected a candidate whose ops run inside a model, found " +
                         info.name + ", which runs whole models");
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
  add_run_options(*command, *arguments);
  command->callback([arguments, command, &body] {
    settle_run_options(*command, *arguments);
    arguments->command = typed_command();
    body = [arguments] { return run(*arguments); };
  });
}

}  // namespace packproof::cli
