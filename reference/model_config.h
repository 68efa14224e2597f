#pragma once

#include "harness/core/result.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace packproof::reference {

enum class ModelFamily : uint8_t { kQwen35, kQwen35Moe, kQwen3Next };

enum class LayerType : uint8_t { kLinearAttention, kFullAttention };

/// The text model's configuration after the rules of spec 1.1 to 1.3 were applied. Field names are
/// those of config.json; defaults are those of the class named by model_type.
struct ModelConfig {
  ModelFamily family = ModelFamily::kQwen35;
  int64_t vocab_size = 248320;
  int64_t hidden_size = 4096;
  int64_t intermediate_size = 12288;
  int64_t num_hidden_layers = 32;
  int64_t num_attention_heads = 16;
  int64_t num_key_value_heads = 4;
  int64_t head_dim = 256;
  double rms_norm_eps = 1e-6;
  double initializer_range = 0.02;
  bool tie_word_embeddings = false;
  bool attention_bias = false;
  int64_t linear_conv_kernel_dim = 4;
  int64_t linear_key_head_dim = 128;
  int64_t linear_value_head_dim = 128;
  int64_t linear_num_key_heads = 16;
  int64_t linear_num_value_heads = 32;
  double rope_theta = 10000.0;
  double partial_rotary_factor = 0.25;
  std::vector<int64_t> mrope_section{11, 11, 10};
  std::vector<LayerType> layer_types;
  int64_t moe_intermediate_size = 512;
  int64_t shared_expert_intermediate_size = 512;
  int64_t num_experts = 0;
  int64_t num_experts_per_tok = 0;
  bool norm_topk_prob = true;
  int64_t decoder_sparse_step = 1;
  std::vector<int64_t> mlp_only_layers;
  bool output_router_logits = false;
  double router_aux_loss_coef = 0.001;

  /// The library keeps this row of the embedding table free of gradients; text has no such token.
  std::optional<int64_t> pad_token_id;

  int64_t rotary_dim() const;  ///< floor(head_dim * partial_rotary_factor).

  int64_t key_dim() const { return linear_num_key_heads * linear_key_head_dim; }

  int64_t value_dim() const { return linear_num_value_heads * linear_value_head_dim; }

  int64_t conv_dim() const { return 2 * key_dim() + value_dim(); }

  bool is_moe_layer(int64_t layer) const;
};

/// Above every published depth; bounds what a mistyped number makes the parser build.
inline constexpr int64_t kMaxHiddenLayers = 4096;

/// Parses config.json (nested `text_config` accepted, unknown keys ignored). Inconsistent or
/// unsupported values are refused with the field's name and value. No file access.
Result<ModelConfig> parse_model_config(const std::string& json, const std::string& origin);

/// Checks the consistency rules of spec 1.1; used by the parser and by random models.
Status validate(const ModelConfig& config);

}  // namespace packproof::reference
