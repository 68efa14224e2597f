#include "harness/bench/reference_bench.h"

#include "harness/bench/peak_memory.h"
#include "harness/ops/packed_call.h"
#include "harness/run/model_check.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>

namespace packproof {
namespace {

constexpr int64_t kHeadDim = 128;
constexpr double kMicroseconds = 1e6;
constexpr const char* kWholeModel = "whole model";
constexpr const char* kProducts = "its products";

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// What is timed of the delta rule.
struct RuleRun {
  Direction direction = Direction::kForward;
  bool bounds = false;
  int64_t tokens = 0;
  int64_t heads = 1;
  int repeats = 1;
};

/// The call alone: the case it was built from would hold its tensors twice.
Result<OpCall> rule_call(const RuleRun& run, uint64_t seed) {
  CaseSpec spec;
  spec.op = Op::kRecurrentGatedDeltaRule;
  spec.direction = run.direction;
  spec.lens = {run.tokens};
  spec.num_k_heads = run.heads;
  spec.num_v_heads = run.heads;
  spec.head_k_dim = kHeadDim;
  spec.head_v_dim = kHeadDim;
  spec.seed = seed;
  PACKPROOF_TRY(PackedCall packed, build_case(spec));
  packed.call.inputs["cu_seqlens"] = packed.packing.cu_seqlens_tensor(DType::kI32);
  return std::move(packed.call);
}

std::string rule_name(const RuleRun& run) {
  std::string name = run.direction == Direction::kForward ? "recurrence" : "recurrence, gradients";
  return run.bounds ? name + ", with bounds" : name;
}

Result<BenchRow> time_rule(const reference::Reference& reference, const RuleRun& run) {
  reset_peak_memory();
  PACKPROOF_TRY(const OpCall call, rule_call(run, 1));
  BenchRow row{.what = rule_name(run),
               .shape = "T " + std::to_string(run.tokens) + ", " + std::to_string(run.heads) +
                        (run.heads == 1 ? " head" : " heads")};
  for (int repeat = 0; repeat < run.repeats; ++repeat) {
    const auto begin = std::chrono::steady_clock::now();
    PACKPROOF_TRY(const reference::OpResult result,
                  reference.evaluate(call, {.bounds = run.bounds}));
    const double seconds = seconds_since(begin);
    row.seconds = repeat == 0 ? seconds : std::min(row.seconds, seconds);
  }
  row.per_unit = row.seconds * kMicroseconds / static_cast<double>(run.tokens * run.heads);
  row.peak_bytes = peak_memory();
  return row;
}

/// Heads are independent: one at a time keeps the memory of one.
Result<BenchRow> time_very_long(const reference::Reference& reference, Direction direction) {
  constexpr int64_t kTokens = 131072;
  constexpr int64_t kHeads = 4;
  const RuleRun run{.direction = direction, .bounds = true, .tokens = kTokens};
  BenchRow row{.what = rule_name(run), .shape = "T 131072, 4 heads in turn"};
  reset_peak_memory();
  for (uint64_t head = 0; head < kHeads; ++head) {
    PACKPROOF_TRY(const OpCall call, rule_call(run, head + 1));
    const auto begin = std::chrono::steady_clock::now();
    PACKPROOF_TRY(const reference::OpResult result, reference.evaluate(call));
    row.seconds += seconds_since(begin);
  }
  row.per_unit = row.seconds * kMicroseconds / static_cast<double>(kTokens * kHeads);
  row.peak_bytes = peak_memory();
  return row;
}

/// Four layers of Qwen3.5-0.8B's shape, with a small vocabulary.
reference::ModelConfig four_layers_of_the_smallest() {
  reference::ModelConfig config;
  config.vocab_size = 1000;
  config.hidden_size = 1024;
  config.intermediate_size = 3584;
  config.num_hidden_layers = 4;
  config.num_attention_heads = 8;
  config.num_key_value_heads = 2;
  config.linear_num_key_heads = 16;
  config.linear_num_value_heads = 16;
  config.layer_types = {
      reference::LayerType::kLinearAttention, reference::LayerType::kLinearAttention,
      reference::LayerType::kLinearAttention, reference::LayerType::kFullAttention};
  return config;
}

/// The whole model and the products with its weights alone, in turn: both see the same neighbours.
Result<std::vector<BenchRow>> time_model(const reference::Reference& reference) {
  const std::vector<int64_t> lens{1024, 512, 200, 129, 64, 63, 31, 1, 1, 1};
  constexpr int kRepeats = 3;
  const int64_t tokens = std::accumulate(lens.begin(), lens.end(), int64_t{0});
  const reference::ModelConfig config = four_layers_of_the_smallest();
  PACKPROOF_TRY(
      const std::unique_ptr<reference::Model> model,
      reference.random_model(config, GateRegime::kSlow, 1, reference::WeightInit::kLibrary));
  const Tensor ids = draw_input_ids(config, tokens, 1);
  BenchRow whole{.what = kWholeModel, .shape = "2,026 tokens in 10 sequences, packed"};
  BenchRow products{.what = kProducts, .shape = "2,026 rows by every weight matrix"};
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    reset_peak_memory();
    const auto begin = std::chrono::steady_clock::now();
    PACKPROOF_TRY(const Tensor logits, model_logits(*model, lens, ids, ModelForm::kPacked, {}));
    const double seconds = seconds_since(begin);
    whole.seconds = repeat == 0 ? seconds : std::min(whole.seconds, seconds);
    whole.peak_bytes = std::max(whole.peak_bytes, peak_memory());
    reset_peak_memory();
    PACKPROOF_TRY(const double alone, reference.time_products(config, tokens));
    products.seconds = repeat == 0 ? alone : std::min(products.seconds, alone);
    products.peak_bytes = std::max(products.peak_bytes, peak_memory());
  }
  for (BenchRow* row : {&whole, &products}) {
    row->per_unit = row->seconds * kMicroseconds / static_cast<double>(tokens);
  }
  return std::vector<BenchRow>{std::move(whole), std::move(products)};
}

/// 0 where no row is named so.
double seconds_of(const std::vector<BenchRow>& rows, const char* what) {
  const auto row = std::ranges::find(rows, what, &BenchRow::what);
  return row == rows.end() ? 0.0 : row->seconds;
}

}  // namespace

Result<std::vector<BenchRow>> bench_reference(
    const reference::Reference& reference, const ReferenceBenchOptions& options,
    const std::function<void(const std::string&)>& progress) {
  std::vector<BenchRow> rows;
  constexpr int64_t kHeads = 2;
  for (const bool bounds : {false, true}) {
    for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
      for (int64_t tokens = 1024; tokens <= options.longest; tokens *= 4) {
        const RuleRun run{direction, bounds, tokens, kHeads, tokens <= 4096 ? 10 : 3};
        progress(rule_name(run) + ", T " + std::to_string(tokens));
        PACKPROOF_TRY(BenchRow row, time_rule(reference, run));
        rows.push_back(std::move(row));
      }
    }
  }
  if (options.very_long_sequence) {
    for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
      progress("one sequence of 131072 tokens, " + std::string(name_of(direction)));
      PACKPROOF_TRY(BenchRow row, time_very_long(reference, direction));
      rows.push_back(std::move(row));
    }
  }
  if (options.whole_model) {
    progress("whole model");
    PACKPROOF_TRY(const std::vector<BenchRow> of_model, time_model(reference));
    rows.insert(rows.end(), of_model.begin(), of_model.end());
  }
  return rows;
}

std::string bench_table(const std::vector<BenchRow>& rows) {
  std::string table;
  char line[160];
  std::snprintf(line, sizeof line, "%-36s %-36s %9s %9s %9s\n", "what", "shape", "seconds",
                "us/unit", "peak MiB");
  table += line;
  for (const BenchRow& row : rows) {
    std::snprintf(line, sizeof line, "%-36s %-36s %9.3f %9.3f %9.0f\n", row.what.c_str(),
                  row.shape.c_str(), row.seconds, row.per_unit,
                  static_cast<double>(row.peak_bytes) / (1 << 20));
    table += line;
  }
  table += "unit: a token of one value head (K = V = 128); of a whole model, a token\n";
  const double model = seconds_of(rows, kWholeModel);
  const double products = seconds_of(rows, kProducts);
  if (model > 0.0 && products > 0.0) {
    std::snprintf(line, sizeof line, "whole model / its products: %.2f\n", model / products);
    table += line;
  }
  return table;
}

}  // namespace packproof
