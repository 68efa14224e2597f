#include "reference/model_config.h"

#include "harness/core/tensor.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace packproof::reference {
namespace {

// Sizes are 32-bit in every framework, so products of two of them fit in int64_t.
constexpr int64_t kMaxSize = 0x7fffffff;
constexpr int64_t kMaxConvWidth = 64;
constexpr int64_t kMaxExperts = 65536;

struct SizeField {
  std::string_view name;
  int64_t ModelConfig::*value;
};

constexpr std::array<SizeField, 10> kSizes{{
    {"vocab_size", &ModelConfig::vocab_size},
    {"hidden_size", &ModelConfig::hidden_size},
    {"num_attention_heads", &ModelConfig::num_attention_heads},
    {"num_key_value_heads", &ModelConfig::num_key_value_heads},
    {"head_dim", &ModelConfig::head_dim},
    {"linear_key_head_dim", &ModelConfig::linear_key_head_dim},
    {"linear_value_head_dim", &ModelConfig::linear_value_head_dim},
    {"linear_num_key_heads", &ModelConfig::linear_num_key_heads},
    {"linear_num_value_heads", &ModelConfig::linear_num_value_heads},
    {"intermediate_size", &ModelConfig::intermediate_size},
}};

constexpr std::array<SizeField, 2> kMixtureSizes{{
    {"moe_intermediate_size", &ModelConfig::moe_intermediate_size},
    {"shared_expert_intermediate_size", &ModelConfig::shared_expert_intermediate_size},
}};

/// "0.1", not "0.100000".
std::string number_text(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.17g", value);
  for (int digits = 1; digits < 17; ++digits) {
    std::array<char, 32> shorter{};
    std::snprintf(shorter.data(), shorter.size(), "%.*g", digits, value);
    if (std::strtod(shorter.data(), nullptr) == value) return shorter.data();
  }
  return text.data();
}

Error refusal(std::string_view field, const std::string& expected, const std::string& found) {
  return invalid_input(std::string(field) + ": expected " + expected + ", found " + found);
}

Status check_range(std::string_view field, int64_t value, int64_t low, int64_t high) {
  if (low <= value && value <= high) return {};
  return refusal(field, "an integer from " + std::to_string(low) + " to " + std::to_string(high),
                 std::to_string(value));
}

Status check_positive(std::string_view field, double value) {
  if (std::isfinite(value) && value > 0.0) return {};
  return refusal(field, "a positive number", number_text(value));
}

Status check_multiple(std::string_view field, int64_t value, std::string_view divisor_field,
                      int64_t divisor) {
  if (value % divisor == 0) return {};
  return refusal(field,
                 "a multiple of " + std::string(divisor_field) + " = " + std::to_string(divisor),
                 std::to_string(value));
}

Status check_rotary(const ModelConfig& config) {
  PACKPROOF_CHECK_OK(check_positive("rope_theta", config.rope_theta));
  const double factor = config.partial_rotary_factor;
  if (!(factor > 0.0 && factor <= 1.0)) {
    return refusal("partial_rotary_factor", "a number above 0 and at most 1", number_text(factor));
  }
  const int64_t rotary_dim = config.rotary_dim();
  if (rotary_dim < 2 || rotary_dim % 2 != 0) {
    return refusal("partial_rotary_factor",
                   "an even rotary width floor(head_dim * partial_rotary_factor) of at least 2 "
                   "with head_dim = " +
                       std::to_string(config.head_dim),
                   number_text(factor) + ", which gives " + std::to_string(rotary_dim));
  }
  // The class default stands for "not given": text positions make it immaterial (spec 2.4).
  if (config.family == ModelFamily::kQwen3Next ||
      config.mrope_section == ModelConfig{}.mrope_section) {
    return {};
  }
  const std::vector<int64_t>& sections = config.mrope_section;
  const bool in_range = sections.size() == 3 && std::ranges::all_of(sections, [](int64_t section) {
                          return section >= 0 && section <= kMaxSize;
                        });
  if (!in_range || sections[0] + sections[1] + sections[2] != rotary_dim / 2) {
    return refusal("mrope_section",
                   "three sizes of at least 0 whose sum is half the rotary width, " +
                       std::to_string(rotary_dim / 2),
                   shape_text(sections));
  }
  return {};
}

Status check_mixture(const ModelConfig& config) {
  if (config.family == ModelFamily::kQwen35) return {};
  // Qwen3-Next without experts is a dense model (spec 2.6).
  if (config.family == ModelFamily::kQwen3Next && config.num_experts == 0) return {};
  for (const SizeField& size : kMixtureSizes) {
    PACKPROOF_CHECK_OK(check_range(size.name, config.*size.value, 1, kMaxSize));
  }
  PACKPROOF_CHECK_OK(check_range("num_experts", config.num_experts, 1, kMaxExperts));
  if (config.num_experts_per_tok < 1 || config.num_experts_per_tok > config.num_experts) {
    return refusal("num_experts_per_tok",
                   "an integer from 1 to num_experts = " + std::to_string(config.num_experts),
                   std::to_string(config.num_experts_per_tok));
  }
  PACKPROOF_CHECK_OK(check_range("decoder_sparse_step", config.decoder_sparse_step, 1, kMaxSize));
  for (std::size_t i = 0; i < config.mlp_only_layers.size(); ++i) {
    const int64_t layer = config.mlp_only_layers[i];
    if (layer < 0 || layer >= config.num_hidden_layers) {
      return refusal("mlp_only_layers[" + std::to_string(i) + "]",
                     "a layer from 0 to " + std::to_string(config.num_hidden_layers - 1),
                     std::to_string(layer));
    }
  }
  if (!std::isfinite(config.router_aux_loss_coef)) {
    return refusal("router_aux_loss_coef", "a finite number",
                   number_text(config.router_aux_loss_coef));
  }
  return {};
}

}  // namespace

int64_t ModelConfig::rotary_dim() const {
  return static_cast<int64_t>(std::floor(static_cast<double>(head_dim) * partial_rotary_factor));
}

bool ModelConfig::is_moe_layer(int64_t layer) const {
  switch (family) {
    case ModelFamily::kQwen35:
      return false;
    case ModelFamily::kQwen35Moe:
      return true;
    case ModelFamily::kQwen3Next:
      return num_experts > 0 && (layer + 1) % decoder_sparse_step == 0 &&
             std::find(mlp_only_layers.begin(), mlp_only_layers.end(), layer) ==
                 mlp_only_layers.end();
  }
  return false;
}

Status validate(const ModelConfig& config) {
  for (const SizeField& size : kSizes) {
    const bool unused =
        size.value == &ModelConfig::intermediate_size && config.family == ModelFamily::kQwen35Moe;
    if (!unused) PACKPROOF_CHECK_OK(check_range(size.name, config.*size.value, 1, kMaxSize));
  }
  PACKPROOF_CHECK_OK(
      check_range("num_hidden_layers", config.num_hidden_layers, 1, kMaxHiddenLayers));
  PACKPROOF_CHECK_OK(
      check_range("linear_conv_kernel_dim", config.linear_conv_kernel_dim, 2, kMaxConvWidth));
  PACKPROOF_CHECK_OK(check_multiple("num_attention_heads", config.num_attention_heads,
                                    "num_key_value_heads", config.num_key_value_heads));
  PACKPROOF_CHECK_OK(check_multiple("linear_num_value_heads", config.linear_num_value_heads,
                                    "linear_num_key_heads", config.linear_num_key_heads));
  PACKPROOF_CHECK_OK(check_positive("rms_norm_eps", config.rms_norm_eps));
  PACKPROOF_CHECK_OK(check_rotary(config));
  if (static_cast<int64_t>(config.layer_types.size()) != config.num_hidden_layers) {
    return refusal("layer_types",
                   "num_hidden_layers = " + std::to_string(config.num_hidden_layers) + " entries",
                   std::to_string(config.layer_types.size()));
  }
  return check_mixture(config);
}

}  // namespace packproof::reference
