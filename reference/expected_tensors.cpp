#include "reference/checkpoint.h"

#include <utility>

namespace packproof::reference {
namespace {

class TensorList {
 public:
  void add(std::string name, std::vector<int64_t> shape) {
    list_.push_back({std::move(name), std::move(shape)});
  }

  /// `name`.weight, and `name`.bias where the configuration has one.
  void add_linear(const std::string& name, int64_t rows, int64_t columns, bool bias = false) {
    add(name + ".weight", {rows, columns});
    if (bias) add(name + ".bias", {rows});
  }

  std::vector<ExpectedTensor> take() { return std::move(list_); }

 private:
  std::vector<ExpectedTensor> list_;
};

/// Query and gate rows interleave per head, hence the factor 2 (spec 2.4).
void add_attention(const ModelConfig& c, const std::string& scope, TensorList& list) {
  const int64_t query_rows = c.num_attention_heads * c.head_dim;
  const int64_t key_rows = c.num_key_value_heads * c.head_dim;
  list.add_linear(scope + "q_proj", 2 * query_rows, c.hidden_size, c.attention_bias);
  list.add_linear(scope + "k_proj", key_rows, c.hidden_size, c.attention_bias);
  list.add_linear(scope + "v_proj", key_rows, c.hidden_size, c.attention_bias);
  list.add_linear(scope + "o_proj", c.hidden_size, query_rows, c.attention_bias);
  list.add(scope + "q_norm.weight", {c.head_dim});
  list.add(scope + "k_norm.weight", {c.head_dim});
}

void add_delta_net(const ModelConfig& c, const std::string& scope, TensorList& list) {
  const int64_t value_heads = c.linear_num_value_heads;
  if (c.family == ModelFamily::kQwen3Next) {
    list.add_linear(scope + "in_proj_qkvz", c.conv_dim() + c.value_dim(), c.hidden_size);
    list.add_linear(scope + "in_proj_ba", 2 * value_heads, c.hidden_size);
  } else {
    list.add_linear(scope + "in_proj_qkv", c.conv_dim(), c.hidden_size);
    list.add_linear(scope + "in_proj_z", c.value_dim(), c.hidden_size);
    list.add_linear(scope + "in_proj_b", value_heads, c.hidden_size);
    list.add_linear(scope + "in_proj_a", value_heads, c.hidden_size);
  }
  list.add(scope + "conv1d.weight", {c.conv_dim(), 1, c.linear_conv_kernel_dim});
  list.add(scope + "A_log", {value_heads});
  list.add(scope + "dt_bias", {value_heads});
  list.add(scope + "norm.weight", {c.linear_value_head_dim});
  list.add_linear(scope + "out_proj", c.hidden_size, c.value_dim());
}

void add_mlp(const std::string& scope, int64_t inner, int64_t outer, TensorList& list) {
  list.add_linear(scope + "gate_proj", inner, outer);
  list.add_linear(scope + "up_proj", inner, outer);
  list.add_linear(scope + "down_proj", outer, inner);
}

void add_mixture(const ModelConfig& c, const std::string& scope, TensorList& list) {
  list.add_linear(scope + "gate", c.num_experts, c.hidden_size);
  list.add(scope + "experts.gate_up_proj",
           {c.num_experts, 2 * c.moe_intermediate_size, c.hidden_size});
  list.add(scope + "experts.down_proj", {c.num_experts, c.hidden_size, c.moe_intermediate_size});
  add_mlp(scope + "shared_expert.", c.shared_expert_intermediate_size, c.hidden_size, list);
  list.add_linear(scope + "shared_expert_gate", 1, c.hidden_size);
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const ModelConfig& config) {
  TensorList list;
  list.add_linear("model.embed_tokens", config.vocab_size, config.hidden_size);
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    const std::string scope = "model.layers." + std::to_string(layer) + ".";
    list.add(scope + "input_layernorm.weight", {config.hidden_size});
    list.add(scope + "post_attention_layernorm.weight", {config.hidden_size});
    if (config.layer_types[static_cast<std::size_t>(layer)] == LayerType::kFullAttention) {
      add_attention(config, scope + "self_attn.", list);
    } else {
      add_delta_net(config, scope + "linear_attn.", list);
    }
    if (config.is_moe_layer(layer)) {
      add_mixture(config, scope + "mlp.", list);
    } else {
      add_mlp(scope + "mlp.", config.intermediate_size, config.hidden_size, list);
    }
  }
  list.add("model.norm.weight", {config.hidden_size});
  if (!config.tie_word_embeddings) {
    list.add_linear("lm_head", config.vocab_size, config.hidden_size);
  }
  return list.take();
}

}  // namespace packproof::reference
