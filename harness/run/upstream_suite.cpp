#include "harness/run/upstream_suite.h"

#include "harness/run/judge.h"
#include "harness/run/model_check.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace packproof {
namespace {

constexpr double kUpstreamTolerance = 1e-5;

// One model shows what one draw of the gates hides; 32 show how often.
constexpr int64_t kModels = 32;

/// The configuration of the library's own model tester at the revision of spec 7.
reference::ModelConfig upstream_config() {
  reference::ModelConfig config;
  config.vocab_size = 99;
  config.hidden_size = 32;
  config.intermediate_size = 32;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 2;
  config.head_dim = 32;
  config.mrope_section = {2, 1, 1};
  config.layer_types = {reference::LayerType::kFullAttention,
                        reference::LayerType::kLinearAttention};
  config.linear_conv_kernel_dim = 2;
  config.linear_key_head_dim = 16;
  config.linear_value_head_dim = 16;
  config.linear_num_key_heads = 4;
  config.linear_num_value_heads = 8;
  return config;
}

const std::vector<std::vector<int64_t>>& upstream_batches() {
  static const std::vector<std::vector<int64_t>> batches{{3, 2}, {5, 1}};
  return batches;
}

/// Tokens 1, 2, 3, ... across the sequences of a batch.
Tensor upstream_ids(const std::vector<int64_t>& lens) {
  std::vector<int64_t> ids(
      static_cast<std::size_t>(std::accumulate(lens.begin(), lens.end(), int64_t{0})));
  std::iota(ids.begin(), ids.end(), 1);
  return Tensor::from_ints(DType::kI64, {1, static_cast<int64_t>(ids.size())}, ids);
}

/// max |a - b| / (atol + rtol |b|), as in assert_close.
double excess(const Tensor& actual, const Tensor& expected) {
  double largest = 0.0;
  for (int64_t i = 0; i < actual.numel(); ++i) {
    const double share = std::abs(actual.at(i) - expected.at(i)) /
                         (kUpstreamTolerance + kUpstreamTolerance * std::abs(expected.at(i)));
    if (!(share <= largest)) largest = share;
  }
  return largest;
}

Result<double> packed_against_padded(const reference::Model& model, ModelOps& ops) {
  double largest = 0.0;
  for (const std::vector<int64_t>& lens : upstream_batches()) {
    const Tensor ids = upstream_ids(lens);
    PACKPROOF_TRY(const Tensor padded,
                  model_logits(model, lens, ids, ModelForm::kPaddedLeft, ops.substituting()));
    PACKPROOF_TRY(const Tensor packed,
                  model_logits(model, lens, ids, ModelForm::kPacked, ops.substituting()));
    const double share = excess(packed, padded);
    if (!(share <= largest)) largest = share;
  }
  return largest;
}

std::string check_name(GateRegime gate) { return "packed_vs_padded_" + std::string(name_of(gate)); }

CheckResult verdict_of(const UpstreamRow& row) {
  CheckResult check{.check = check_name(row.gate),
                    .outcome = row.accepted == row.models ? OutcomeKind::kPass : OutcomeKind::kFail,
                    .detail = {},
                    .budget_used = row.largest_excess};
  if (check.outcome == OutcomeKind::kFail) {
    check.detail = "packed and left-padded logits differ by " + budget_text(row.largest_excess) +
                   " in " + std::to_string(row.models - row.accepted) + " of " +
                   std::to_string(row.models) + " models";
  }
  return check;
}

}  // namespace

Result<UpstreamReport> run_upstream_suite(Candidate& candidate,
                                          const reference::Reference& reference, uint64_t seed) {
  UpstreamReport report;
  report.verdict.id = "transformers-45034";
  for (const GateRegime gate : {GateRegime::kDefaultInit, GateRegime::kSlow}) {
    for (const PlantedFault fault : all_planted_faults()) {
      UpstreamRow row{.fault = fault, .gate = gate, .models = kModels};
      for (uint64_t model_seed = seed; model_seed < seed + kModels; ++model_seed) {
        PACKPROOF_TRY(const std::unique_ptr<reference::Model> model,
                      reference.random_model(upstream_config(), gate, model_seed,
                                             reference::WeightInit::kLibrary));
        ModelOps ops(candidate, reference, DType::kF32, fault, {});
        const Result<double> share = packed_against_padded(*model, ops);
        if (!share.ok() && share.error().code == Code::kCandidate) {
          report.verdict.checks.push_back(
              {.check = check_name(gate),
               .outcome = ops.failure() ? ops.failure()->outcome : OutcomeKind::kFail,
               .detail = share.error().message});
          return report;
        }
        if (!share.ok()) return share.error();
        row.accepted += *share <= 1.0 ? 1 : 0;
        if (!(*share <= row.largest_excess)) row.largest_excess = *share;
      }
      report.rows.push_back(row);
      if (fault == PlantedFault::kNone) report.verdict.checks.push_back(verdict_of(row));
    }
  }
  return report;
}

std::string upstream_table(const UpstreamReport& report) {
  const auto pad = [](std::string text, std::size_t width) {
    text.resize(std::max(width, text.size()), ' ');
    return text;
  };
  std::string table = pad("planted fault", 26) + pad("gates as initialised", 26) + "slow gates\n";
  for (const PlantedFault fault : all_planted_faults()) {
    std::string line = pad(std::string(name_of(fault)), 26);
    for (const UpstreamRow& row : report.rows) {
      if (row.fault != fault) continue;
      line +=
          pad("accepted " + std::to_string(row.accepted) + " of " + std::to_string(row.models), 26);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    table += line + "\n";
  }
  return table;
}

}  // namespace packproof
