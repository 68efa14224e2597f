#include "reference/decoder.h"

#include "reference/mlp.h"
#include "reference/moe.h"
#include "reference/ops.h"
#include "reference/rope.h"

namespace packproof::reference {
namespace {

at::Tensor feed_forward(const ParameterScope& scope, const ModelConfig& config, int64_t layer,
                        const at::Tensor& x, DecoderOutput& output) {
  if (!config.is_moe_layer(layer)) return swiglu_mlp(scope, x);
  MoeResult result = moe_block(scope, config, x.reshape({-1, config.hidden_size}));
  output.router_logits.push_back(result.router_logits);
  return result.output.view(x.sizes());
}

}  // namespace

DecoderOutput run_decoder(const Parameters& parameters, const ModelConfig& config,
                          const at::Tensor& embeddings, const TokenLayout& layout,
                          const MixerOps& ops, const DecoderOptions& options, DecoderState& state) {
  const double eps = config.rms_norm_eps;
  const RotaryTable rotary = rotary_table(config, layout.positions, options.rope_float32);
  DecoderOutput output;
  at::Tensor x = embeddings;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (options.hidden_states) output.hidden_states.push_back(x);
    const ParameterScope scope = layer_scope(parameters, layer);
    const at::Tensor u = rms_norm_1p(x, scope["input_layernorm.weight"], eps);
    if (config.layer_types[static_cast<std::size_t>(layer)] == LayerType::kFullAttention) {
      KeyValues* cache = options.keep_keys ? &state.attention[layer] : nullptr;
      x = x + gated_attention(scope.below("self_attn"), config, u, rotary, layout, cache);
    } else {
      x = x + gated_delta_net(scope.below("linear_attn"), config, layer, u, layout, ops,
                              state.mixer[layer]);
    }
    const at::Tensor h = rms_norm_1p(x, scope["post_attention_layernorm.weight"], eps);
    x = x + feed_forward(scope.below("mlp"), config, layer, h, output);
  }
  output.residual = x;
  output.last_hidden = rms_norm_1p(x, parameters.at("model.norm.weight"), eps);
  if (options.hidden_states) output.hidden_states.push_back(output.last_hidden);
  return output;
}

const at::Tensor& head_weight(const Parameters& parameters, const ModelConfig& config) {
  return parameters.at(config.tie_word_embeddings ? "model.embed_tokens.weight" : "lm_head.weight");
}

}  // namespace packproof::reference
