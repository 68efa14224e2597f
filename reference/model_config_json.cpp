#include "reference/json_strict.h"
#include "reference/model_config.h"

#include <array>
#include <limits>
#include <string_view>
#include <utility>

namespace packproof::reference {
namespace {

using nlohmann::json;

/// Reads typed fields of one JSON object. A missing field leaves the target as it is, which holds
/// the class default; a value of another type is refused with the field's path.
class FieldReader {
 public:
  FieldReader(const json& object, std::string path) : object_(&object), path_(std::move(path)) {}

  bool has(std::string_view name) const { return object_->contains(name); }

  /// Present and not null: for the fields whose class default is none.
  bool given(std::string_view name) const { return has(name) && !at(name).is_null(); }

  const json& at(std::string_view name) const { return *object_->find(name); }

  Error refusal(std::string_view name, std::string_view expected) const {
    return invalid_input(path_ + std::string(name) + ": expected " + std::string(expected) +
                         ", found " + (has(name) ? json_text(at(name)) : "nothing"));
  }

  Status read(std::string_view name, int64_t& target) const {
    if (!has(name)) return {};
    if (!as_integer(at(name), target)) return refusal(name, "an integer");
    return {};
  }

  Status read(std::string_view name, double& target) const {
    if (!has(name)) return {};
    if (!at(name).is_number()) return refusal(name, "a number");
    target = at(name).get<double>();
    return {};
  }

  Status read(std::string_view name, bool& target) const {
    if (!has(name)) return {};
    if (!at(name).is_boolean()) return refusal(name, "true or false");
    target = at(name).get<bool>();
    return {};
  }

  Status read(std::string_view name, std::string& target) const {
    if (!has(name)) return {};
    if (!at(name).is_string()) return refusal(name, "a string");
    target = at(name).get<std::string>();
    return {};
  }

  Status read(std::string_view name, std::vector<int64_t>& target) const {
    if (!has(name)) return {};
    if (!at(name).is_array()) return refusal(name, "a list of integers");
    target.clear();
    for (const json& element : at(name)) {
      if (!as_integer(element, target.emplace_back())) return refusal(name, "a list of integers");
    }
    return {};
  }

  /// The object under `name`, which must be one.
  Result<FieldReader> below(std::string_view name) const {
    if (!has(name) || !at(name).is_object()) return refusal(name, "an object");
    return FieldReader(at(name), path_ + std::string(name) + ".");
  }

 private:
  static bool as_integer(const json& value, int64_t& target) {
    if (!value.is_number_integer()) return false;
    if (value.is_number_unsigned() &&
        value.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return false;
    }
    target = value.get<int64_t>();
    return true;
  }

  const json* object_;
  std::string path_;
};

/// The classes of spec 1.1, and the classes that carry one of them as `text_config`.
struct ConfigClass {
  std::string_view model_type;
  std::string_view text_model_type;  ///< Empty: the fields stand at the top.
  ModelFamily family;
};

constexpr std::array<ConfigClass, 5> kClasses{{
    {"qwen3_5_text", "", ModelFamily::kQwen35},
    {"qwen3_5", "qwen3_5_text", ModelFamily::kQwen35},
    {"qwen3_5_moe_text", "", ModelFamily::kQwen35Moe},
    {"qwen3_5_moe", "qwen3_5_moe_text", ModelFamily::kQwen35Moe},
    {"qwen3_next", "", ModelFamily::kQwen3Next},
}};

/// Column of the table in spec 1.1; ModelConfig's own defaults are the first column.
ModelConfig class_defaults(ModelFamily family) {
  ModelConfig config;
  config.family = family;
  if (family == ModelFamily::kQwen35Moe) {
    config.hidden_size = 2048;
    config.num_hidden_layers = 40;
    config.num_key_value_heads = 2;
    config.num_experts = 256;
    config.num_experts_per_tok = 8;
  }
  if (family == ModelFamily::kQwen3Next) {
    config.vocab_size = 151936;
    config.hidden_size = 2048;
    config.intermediate_size = 5632;
    config.num_hidden_layers = 48;
    config.num_key_value_heads = 2;
    config.num_experts = 512;
    config.num_experts_per_tok = 10;
  }
  return config;
}

Status read_common_fields(const FieldReader& fields, ModelConfig& config) {
  PACKPROOF_CHECK_OK(fields.read("vocab_size", config.vocab_size));
  PACKPROOF_CHECK_OK(fields.read("hidden_size", config.hidden_size));
  PACKPROOF_CHECK_OK(fields.read("num_hidden_layers", config.num_hidden_layers));
  PACKPROOF_CHECK_OK(fields.read("num_attention_heads", config.num_attention_heads));
  PACKPROOF_CHECK_OK(fields.read("num_key_value_heads", config.num_key_value_heads));
  PACKPROOF_CHECK_OK(fields.read("head_dim", config.head_dim));
  PACKPROOF_CHECK_OK(fields.read("rms_norm_eps", config.rms_norm_eps));
  PACKPROOF_CHECK_OK(fields.read("initializer_range", config.initializer_range));
  PACKPROOF_CHECK_OK(fields.read("tie_word_embeddings", config.tie_word_embeddings));
  PACKPROOF_CHECK_OK(fields.read("attention_bias", config.attention_bias));
  PACKPROOF_CHECK_OK(fields.read("linear_conv_kernel_dim", config.linear_conv_kernel_dim));
  PACKPROOF_CHECK_OK(fields.read("linear_key_head_dim", config.linear_key_head_dim));
  PACKPROOF_CHECK_OK(fields.read("linear_value_head_dim", config.linear_value_head_dim));
  PACKPROOF_CHECK_OK(fields.read("linear_num_key_heads", config.linear_num_key_heads));
  PACKPROOF_CHECK_OK(fields.read("linear_num_value_heads", config.linear_num_value_heads));
  std::string hidden_act = "silu";
  PACKPROOF_CHECK_OK(fields.read("hidden_act", hidden_act));
  if (hidden_act != "silu" && hidden_act != "swish") {
    return fields.refusal("hidden_act", "\"silu\" or \"swish\"");
  }
  if (fields.given("pad_token_id")) {
    PACKPROOF_CHECK_OK(fields.read("pad_token_id", config.pad_token_id.emplace()));
  }
  return {};
}

/// Attributes that only some classes have; a class without one ignores the key, as the library does.
Status read_feed_forward_fields(const FieldReader& fields, ModelConfig& config) {
  if (config.family != ModelFamily::kQwen35Moe) {
    PACKPROOF_CHECK_OK(fields.read("intermediate_size", config.intermediate_size));
  }
  if (config.family == ModelFamily::kQwen35) return {};
  PACKPROOF_CHECK_OK(fields.read("moe_intermediate_size", config.moe_intermediate_size));
  PACKPROOF_CHECK_OK(
      fields.read("shared_expert_intermediate_size", config.shared_expert_intermediate_size));
  PACKPROOF_CHECK_OK(fields.read("num_experts", config.num_experts));
  PACKPROOF_CHECK_OK(fields.read("num_experts_per_tok", config.num_experts_per_tok));
  PACKPROOF_CHECK_OK(fields.read("output_router_logits", config.output_router_logits));
  PACKPROOF_CHECK_OK(fields.read("router_aux_loss_coef", config.router_aux_loss_coef));
  if (config.family != ModelFamily::kQwen3Next) return {};
  PACKPROOF_CHECK_OK(fields.read("norm_topk_prob", config.norm_topk_prob));
  PACKPROOF_CHECK_OK(fields.read("decoder_sparse_step", config.decoder_sparse_step));
  return fields.read("mlp_only_layers", config.mlp_only_layers);
}

/// Spec 1.2: a legacy `rope_scaling` replaces `rope_parameters`; what the dict does not say may stand
/// at the top.
Status read_rotary_fields(const FieldReader& fields, ModelConfig& config) {
  PACKPROOF_CHECK_OK(fields.read("rope_theta", config.rope_theta));
  PACKPROOF_CHECK_OK(fields.read("partial_rotary_factor", config.partial_rotary_factor));
  for (const std::string_view name : {"rope_scaling", "rope_parameters"}) {
    if (!fields.given(name)) continue;
    PACKPROOF_TRY(const FieldReader rotary, fields.below(name));
    if (fields.at(name).empty()) continue;
    const std::string_view type_name = rotary.has("rope_type") ? "rope_type" : "type";
    std::string type = "default";
    PACKPROOF_CHECK_OK(rotary.read(type_name, type));
    if (type != "default") return rotary.refusal(type_name, "\"default\"");
    PACKPROOF_CHECK_OK(rotary.read("rope_theta", config.rope_theta));
    PACKPROOF_CHECK_OK(rotary.read("partial_rotary_factor", config.partial_rotary_factor));
    if (config.family == ModelFamily::kQwen3Next) return {};
    return rotary.read("mrope_section", config.mrope_section);
  }
  return {};
}

/// Spec 1.3, with the names that the library's configurations once had for the two kinds.
Status read_layer_types(const FieldReader& fields, ModelConfig& config) {
  if (!fields.given("layer_types")) {
    int64_t interval = 4;
    PACKPROOF_CHECK_OK(fields.read("full_attention_interval", interval));
    if (interval < 1) {
      return fields.refusal("full_attention_interval", "an integer of at least 1");
    }
    for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
      config.layer_types.push_back((layer + 1) % interval == 0 ? LayerType::kFullAttention
                                                               : LayerType::kLinearAttention);
    }
    return {};
  }
  constexpr std::string_view kExpected = "a list of \"linear_attention\" and \"full_attention\"";
  const json& types = fields.at("layer_types");
  if (!types.is_array()) return fields.refusal("layer_types", kExpected);
  for (std::size_t layer = 0; layer < types.size(); ++layer) {
    const json& type = types[layer];
    if (type == "linear_attention" || type == "mamba" || type == "conv") {
      config.layer_types.push_back(LayerType::kLinearAttention);
    } else if (type == "full_attention" || type == "attention") {
      config.layer_types.push_back(LayerType::kFullAttention);
    } else {
      return invalid_input("layer_types[" + std::to_string(layer) +
                           "]: expected \"linear_attention\" or \"full_attention\", found " +
                           json_text(type));
    }
  }
  return {};
}

Result<ModelConfig> read_config(const FieldReader& fields, ModelConfig config) {
  PACKPROOF_CHECK_OK(read_common_fields(fields, config));
  PACKPROOF_CHECK_OK(read_feed_forward_fields(fields, config));
  PACKPROOF_CHECK_OK(read_rotary_fields(fields, config));
  // The default pattern is as long as the number of layers, so that number is checked first.
  if (config.num_hidden_layers >= 1 && config.num_hidden_layers <= kMaxHiddenLayers) {
    PACKPROOF_CHECK_OK(read_layer_types(fields, config));
  }
  PACKPROOF_CHECK_OK(validate(config));
  return config;
}

Result<ModelConfig> read_root(const json& root) {
  const FieldReader top(root, "");
  std::string model_type;
  PACKPROOF_CHECK_OK(top.read("model_type", model_type));
  for (const ConfigClass& config_class : kClasses) {
    if (config_class.model_type != model_type) continue;
    ModelConfig config = class_defaults(config_class.family);
    if (config_class.text_model_type.empty()) return read_config(top, std::move(config));
    PACKPROOF_TRY(const FieldReader text, top.below("text_config"));
    std::string text_type(config_class.text_model_type);
    PACKPROOF_CHECK_OK(text.read("model_type", text_type));
    if (text_type != config_class.text_model_type) {
      return text.refusal("model_type", json_text(config_class.text_model_type));
    }
    PACKPROOF_CHECK_OK(top.read("tie_word_embeddings", config.tie_word_embeddings));
    return read_config(text, std::move(config));
  }
  std::string expected = "one of";
  for (const ConfigClass& config_class : kClasses) {
    expected +=
        (&config_class == kClasses.data() ? " " : ", ") + std::string(config_class.model_type);
  }
  return top.refusal("model_type", expected);
}

}  // namespace

Result<ModelConfig> parse_model_config(const std::string& text, const std::string& origin) {
  PACKPROOF_TRY(const json root, parse_strict_json(text, origin));
  if (!root.is_object()) {
    return invalid_input(origin + ": expected an object, found " + json_text(root));
  }
  Result<ModelConfig> config = read_root(root);
  if (!config.ok()) return Error{config.error().code, origin + ": " + config.error().message};
  return config;
}

}  // namespace packproof::reference
