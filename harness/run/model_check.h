#pragma once

#include "harness/core/outcome.h"
#include "harness/run/model_ops.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace packproof {

/// One whole-model check: the ops of a Qwen3.5 model replaced by the candidate's.
struct ModelCheckSpec {
  std::string name;  ///< Folder name, or "random".
  std::vector<int64_t> lens{1, 3, 64, 70, 2, 5};
  DType dtype = DType::kF32;
  PlantedFault fault = PlantedFault::kNone;
  uint64_t seed = 0;
  std::chrono::milliseconds time_limit{20000};
};

/// Differences of one sequence between two runs of a model.
struct SequenceDrift {
  int64_t sequence = 0;
  double max_delta_logprob = 0.0;  ///< Largest |log p_a - log p_b| over tokens and vocabulary.
  double kl = 0.0;                 ///< Largest KL(a || b) over tokens.
};

/// Per sequence, `a` and `b` being f64 logits [tokens, vocabulary] of the packed tokens in order.
std::vector<SequenceDrift> drift_of(const Tensor& a, const Tensor& b,
                                    const std::vector<int64_t>& lens);

/// How reports name the check: unique within a run.
std::string model_check_id(const ModelCheckSpec& spec);

/// Runs the checks `in_place` (every op on the reference's own layer inputs; names the first wrong
/// layer and sequence), `packed_vs_alone` and `padded_vs_alone` (end to end).
CaseResult check_model(const reference::Model& model, const ModelCheckSpec& spec,
                       Candidate& candidate, const reference::Reference& reference);

/// Logits of the packed tokens, [T, vocabulary], by one packed call, by one call per sequence, or
/// by one left-padded batch.
enum class ModelForm : uint8_t { kPacked, kAlone, kPaddedLeft };
Result<Tensor> model_logits(const reference::Model& model, const std::vector<int64_t>& lens,
                            const Tensor& input_ids, ModelForm form, const reference::OpHook& hook);

/// i64 [1, T], drawn by `seed` from the model's vocabulary; packed text has no pad tokens.
Tensor draw_input_ids(const reference::ModelConfig& config, int64_t tokens, uint64_t seed);

/// The small dense model that suites use when no folder is named: three delta-net layers and one
/// attention layer, grouped value heads, K != V.
reference::ModelConfig small_dense_config();

}  // namespace packproof
