#include "harness/run/stack_gradients.h"

#include "harness/run/judge.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string_view>
#include <tuple>

namespace packproof {
namespace {

// Within a layer, from its output back to its input.
constexpr std::array<std::string_view, 14> kBackwardWithinLayer{"mlp.experts.down_proj",
                                                                "mlp.down_proj",
                                                                "mlp.",
                                                                "post_attention_layernorm",
                                                                "out_proj",
                                                                "o_proj",
                                                                "linear_attn.norm",
                                                                "linear_attn.A_log",
                                                                "linear_attn.dt_bias",
                                                                "q_norm",
                                                                "k_norm",
                                                                "conv1d",
                                                                "_proj",
                                                                "input_layernorm"};

constexpr std::string_view kLayers = "model.layers.";

/// Smaller comes earlier in the backward pass.
std::tuple<int64_t, std::size_t, std::string> backward_key(const std::string& name) {
  constexpr int64_t kLast = std::numeric_limits<int64_t>::max();
  if (name.starts_with("lm_head")) return {-kLast, 0, name};
  if (name.starts_with("model.norm")) return {-kLast, 1, name};
  if (!name.starts_with(kLayers)) return {kLast, 0, name};
  int64_t layer = 0;
  std::from_chars(name.data() + kLayers.size(), name.data() + name.size(), layer);
  std::size_t block = 0;
  while (block < kBackwardWithinLayer.size() &&
         name.find(kBackwardWithinLayer[block]) == std::string::npos) {
    ++block;
  }
  return {-layer, block, name};
}

struct Difference {
  std::string what;
  double distance = 0.0;
  double limit = 0.0;

  double share() const { return std::isnan(distance) ? INFINITY : distance / limit; }
};

std::string shape_problem(const std::string& name, const TensorMap& outputs, int64_t numel,
                          const std::vector<int64_t>& shape) {
  const auto found = outputs.find(name);
  if (found == outputs.end()) {
    return "expected an output '" + name + "' of shape " + shape_text(shape) + ", found none";
  }
  if (found->second.numel() == numel) return "";
  return "expected an output '" + name + "' of shape " + shape_text(shape) + ", found " +
         shape_text(found->second.shape());
}

}  // namespace

std::string place_of(const Packing& packing, int64_t row) {
  int64_t n = 0;
  while (packing.begin(n) + packing.length(n) <= row) ++n;
  return "sequence " + std::to_string(n) + ", token " + std::to_string(row - packing.begin(n));
}

std::vector<std::string> backward_order(const std::map<std::string, Tensor>& gradients) {
  std::vector<std::string> names;
  for (const auto& [name, gradient] : gradients) names.push_back(name);
  std::ranges::sort(names, {}, backward_key);
  return names;
}

CheckResult judge_gradients(const TensorMap& outputs, const StackTruth& truth,
                            const StackLimits& limits, const Packing& packing,
                            bool tied_embeddings) {
  CheckResult result{.check = "gradients", .outcome = OutcomeKind::kPass};
  const auto failed = [&](OutcomeKind outcome, std::string detail) {
    result.outcome = outcome;
    result.detail = std::move(detail);
    return result;
  };
  if (!truth.packed.has_value()) return failed(OutcomeKind::kNotRun, "no token is scored");
  const bool given = std::ranges::any_of(
      outputs, [](const auto& output) { return output.first.starts_with("grad"); });
  if (!given) return failed(OutcomeKind::kNotRun, "the candidate gives no gradients");

  std::vector<Difference> differences;
  for (const std::string& name : backward_order(truth.packed->gradients)) {
    // With tied embeddings this is the head's share of the one table, which a library adds up.
    if (tied_embeddings && name == "lm_head.weight") continue;
    const Tensor& expected = truth.packed->gradients.at(name);
    const std::string problem =
        shape_problem("grad." + name, outputs, expected.numel(), expected.shape());
    if (!problem.empty()) return failed(OutcomeKind::kFail, problem);
    differences.push_back(
        {name, tensor_distance(outputs.at("grad." + name), expected), limits.gradients.at(name)});
  }
  const Tensor& expected = truth.packed->grad_inputs_embeds;
  const std::string problem =
      shape_problem("grad_inputs_embeds", outputs, expected.numel(),
                    {packing.total_tokens(), expected.dim(expected.rank() - 1)});
  if (!problem.empty()) return failed(OutcomeKind::kFail, problem);
  const std::vector<double> shares = row_shares(outputs.at("grad_inputs_embeds"), expected);
  for (std::size_t row = 0; row < shares.size(); ++row) {
    differences.push_back({"inputs_embeds at " + place_of(packing, static_cast<int64_t>(row)),
                           shares[row], limits.grad_inputs_embeds});
  }
  for (const Difference& difference : differences) {
    const bool closest = difference.share() >= result.budget_used;
    if (closest) result.budget_used = difference.share();
    if (result.outcome == OutcomeKind::kFail) continue;
    const std::string numbers = "relative distance " + number_text(difference.distance) +
                                " (limit " + number_text(difference.limit) + ")";
    if (!(difference.share() <= 1.0)) {
      failed(OutcomeKind::kFail,
             "the gradient of " + difference.what +
                 " is the first that differs, from the output back to the embeddings: " + numbers);
    } else if (closest) {
      result.detail = "closest to its limit: " + difference.what + ", " + numbers;
    }
  }
  return result;
}

}  // namespace packproof
