#include "harness/cli/choice_check.h"
#include "harness/cli/number_check.h"
#include "harness/cli/run_arguments.h"
#include "harness/cli/text_check.h"

#include <limits>
#include <sstream>
#include <utility>

namespace packproof::cli {
namespace {

constexpr uint64_t kMaxCases = 1000000;

/// Lengths of the batches of fixtures/oracle/cases: one of every edge of chunk and convolution, many
/// tiny ones, one long one among short ones.
const std::map<std::string, std::vector<int64_t>>& oracle_batches() {
  static const std::map<std::string, std::vector<int64_t>> batches{
      {"edges", {1, 3, 4, 63, 64, 65, 2, 130}},
      {"dust", {1, 1, 1, 5, 2, 1, 4, 1}},
      {"imbalance", {1, 200, 3, 7}}};
  return batches;
}

/// Fields that every packing may share. The op and its direction have options of their own.
CLI::Validator shared_fields() {
  const auto check = [](const std::string& text) {
    std::istringstream words(text);
    std::string word;
    bool any = false;
    while (words >> word) {
      any = true;
      if (word.starts_with("op=") || word.starts_with("dir=")) {
        return "expected fields other than op and dir (--op, --direction), found '" + word + "'";
      }
    }
    return any ? std::string() : "expected fields like 'hk=1 hv=1', found '" + text + "'";
  };
  return CLI::Validator(check, "");
}

void add_random_options(CLI::App& command, RunArguments& arguments) {
  std::vector<std::pair<std::string, Op>> ops;
  for (const Op op : all_ops()) ops.emplace_back(name_of(op), op);
  take_enumerators(
      command.add_option(
          "--op", arguments.ops,
          "Random packings of this op, as `packproof list ops` names it (may be repeated)"),
      ops);
  take_enumerators<Direction>(
      command.add_option("--direction", arguments.directions,
                         "With --op: fwd or bwd (default: what the candidate offers)"),
      {{"fwd", Direction::kForward}, {"bwd", Direction::kBackward}});
  command
      .add_option("--cases", arguments.cases,
                  "With --op: packings per op and direction (default 16)")
      ->transform(whole_number(1, kMaxCases));
  command
      .add_option("--max-tokens", arguments.max_tokens,
                  "With --op: tokens of a packing (default 256)")
      ->transform(whole_number(1, kMaxCaseTokens));
  command
      .add_option("--fix", arguments.fixed,
                  "With --op: fields that every packing gets, as in case lines: 'hk=1 hv=1'")
      ->check(shared_fields());
  command.add_option("--seed", arguments.seed, "Seed of random packings (default 1)")
      ->transform(whole_number(0, std::numeric_limits<uint64_t>::max()));
}

void add_model_options(CLI::App& command, RunArguments& arguments) {
  command
      .add_option("--model", arguments.model,
                  "Judge inside the model of this folder (config.json, safetensors)")
      ->check(some_text("a model's folder"));
  command
      .add_option("--mode", arguments.modes,
                  "With --model and a candidate that runs whole models: both, position_ids, "
                  "seq_idx, cu_seqlens or padded_left (default both)")
      ->check(one_of({"both", "position_ids", "seq_idx", "cu_seqlens", "padded_left"}));
  command.add_option("--lens", arguments.lens, "With --model: lengths of its sequences, 1,3,64")
      ->delimiter(',')
      ->transform(whole_number(0, kMaxCaseTokens));
  command
      .add_option_function<std::string>(
          "--batch",
          [&arguments](const std::string& name) { arguments.lens = oracle_batches().at(name); },
          "With --model: lengths of a batch of fixtures/oracle, edges, dust or imbalance")
      ->check(one_of({"edges", "dust", "imbalance"}))
      ->excludes("--lens");
  command.add_flag("--gradients", arguments.gradients,
                   "With --mode: compare the gradients of the loss too");
  take_enumerators<DType>(
      command.add_option(
          "--dtype", arguments.dtype,
          "With --model: dtype of the ops inside it, f32, f16 or bf16 (default f32)"),
      {{"f32", DType::kF32}, {"f16", DType::kF16}, {"bf16", DType::kBF16}});
  command
      .add_option("--withhold", arguments.withheld,
                  "Plant a wiring bug in the model: seq_idx, cu_seqlens or both never arrive")
      ->check(one_of({"seq_idx", "cu_seqlens", "both"}));
}

}  // namespace

void add_run_options(CLI::App& command, RunArguments& arguments) {
  command
      .add_option("--suite", arguments.suite,
                  "smoke (when nothing else is chosen), ci or transformers-45034")
      ->check(one_of({"smoke", "ci", kUpstreamSuite}));
  add_candidate_options(command, arguments.candidate);
  command.add_option("--case", arguments.case_lines, "Run this case line (may be repeated)")
      ->check(some_text("a case line"));
  add_random_options(command, arguments);
  add_model_options(command, arguments);
  command.add_option("--check", arguments.checks,
                     "Run this check only, on cases (may be repeated); a suite then leaves its "
                     "model out");
  command.add_option("--time-limit", arguments.time_limit, "Seconds per call (default 20)")
      ->check(seconds_number());
  command.add_option("--junit", arguments.junit, "Write a JUnit XML report")
      ->check(some_text("a path"));
  command.add_option("--jsonl", arguments.jsonl, "Write a JSON lines report, case by case")
      ->check(some_text("a path"));
  command.add_flag("--resume", arguments.resume, "Go on where the --jsonl report ends");
  command.add_flag("--stop-at-first", arguments.stop_at_first, "Stop at the first failure");
  command.add_flag("--no-shrink", arguments.no_shrink, "Report failing cases as they are");
  command.add_flag("--no-model", arguments.no_model, "Leave the suite's model check out");
}

}  // namespace packproof::cli
