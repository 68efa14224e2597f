#include "reference/attention_backward.h"
#include "reference/decoder.h"
#include "reference/feed_forward_backward.h"
#include "reference/gated_delta_net_backward.h"
#include "reference/linear_backward.h"
#include "reference/loss.h"
#include "reference/loss_backward.h"
#include "reference/loss_gradients.h"
#include "reference/rms_norm_backward.h"

#include <memory>
#include <vector>

#include <c10/core/GradMode.h>

namespace packproof::reference {
namespace {

/// The layers from the last to the first. Each one's activations are formed again from its input, so
/// that one layer's are held at a time.
class LayerBackward {
 public:
  LayerBackward(const Parameters& parameters, const ModelConfig& config, const TokenLayout& layout,
                at::Tensor d_router_probabilities, GradientStore& store)
      : parameters_(parameters),
        config_(config),
        layout_(layout),
        d_router_probabilities_(std::move(d_router_probabilities)),
        store_(store) {}

  /// x [T, D] is the layer's input, `d_output` the gradient of its output; returns that of x.
  at::Tensor run(int64_t layer, const at::Tensor& x, const at::Tensor& d_output) const {
    const ParameterScope scope = layer_scope(parameters_, layer);
    const at::Tensor u =
        rms_norm_1p_forward(x, scope["input_layernorm.weight"], config_.rms_norm_eps);
    if (config_.layer_types[static_cast<std::size_t>(layer)] == LayerType::kFullAttention) {
      const AttentionTape mixer(scope.below("self_attn"), config_, layout_, u);
      return through(scope, layer, x, mixer, d_output);
    }
    const DeltaNetTape mixer(scope.below("linear_attn"), config_, layout_, u);
    return through(scope, layer, x, mixer, d_output);
  }

 private:
  template <typename Mixer>
  at::Tensor through(const ParameterScope& scope, int64_t layer, const at::Tensor& x,
                     const Mixer& mixer, const at::Tensor& d_output) const {
    const at::Tensor middle = x + mixer.output();
    const at::Tensor d_middle =
        d_output + through_norm(scope, "post_attention_layernorm.weight", middle,
                                feed_forward(scope, layer, middle, d_output));
    return d_middle +
           through_norm(scope, "input_layernorm.weight", x, mixer.backward(d_middle, store_));
  }

  at::Tensor feed_forward(const ParameterScope& scope, int64_t layer, const at::Tensor& middle,
                          const at::Tensor& d_output) const {
    const at::Tensor h =
        rms_norm_1p_forward(middle, scope["post_attention_layernorm.weight"], config_.rms_norm_eps);
    if (config_.is_moe_layer(layer)) {
      return MoeTape(scope.below("mlp"), config_, h)
          .backward(d_output, d_router_probabilities_, store_);
    }
    return SwigluTape(scope.below("mlp"), h).backward(d_output, store_);
  }

  at::Tensor through_norm(const ParameterScope& scope, const std::string& name, const at::Tensor& x,
                          const at::Tensor& d_output) const {
    const NormGradients gradients =
        rms_norm_1p_backward(x, scope[name], config_.rms_norm_eps, d_output);
    store_.add(scope.prefix() + name, gradients.d_weight);
    return gradients.d_x;
  }

  const Parameters& parameters_;
  const ModelConfig& config_;
  const TokenLayout& layout_;
  at::Tensor d_router_probabilities_;
  GradientStore& store_;
};

}  // namespace

LossGradients derived_gradients(const Parameters& parameters, const ModelConfig& config,
                                const TokenLayout& layout, const at::Tensor& labels) {
  const c10::NoGradGuard no_gradients;
  const std::string table = "model.embed_tokens.weight";
  const at::Tensor embeddings = at::embedding(parameters.at(table), layout.input_ids);
  const OpHook no_hook;
  DecoderOptions options;
  options.hidden_states = true;
  DecoderState state;
  const DecoderOutput decoded = run_decoder(parameters, config, embeddings, layout,
                                            MixerOps(no_hook, OpForm::kFast), options, state);
  const at::Tensor& head = head_weight(parameters, config);
  LossGradients result;
  result.logits = at::matmul(decoded.last_hidden, head.t());

  const LossBackward loss = cross_entropy_backward(result.logits, labels);
  result.loss = loss.loss;
  at::Tensor d_router_probabilities;
  if (has_aux_loss(config)) {
    const AuxLossBackward aux = aux_loss_backward(decoded.router_logits, config, layout);
    result.aux_loss = aux.loss;
    result.loss += config.router_aux_loss_coef * aux.loss;
    d_router_probabilities = config.router_aux_loss_coef * aux.d_probabilities;
  }

  GradientStore store;
  store.add("lm_head.weight", at::mm(loss.d_logits.t(), decoded.last_hidden.flatten(0, 1)));
  const NormGradients final_norm =
      rms_norm_1p_backward(decoded.residual.flatten(0, 1), parameters.at("model.norm.weight"),
                           config.rms_norm_eps, at::mm(loss.d_logits, head));
  store.add("model.norm.weight", final_norm.d_weight);
  at::Tensor d_x = final_norm.d_x;
  const LayerBackward layers(parameters, config, layout, d_router_probabilities, store);
  for (int64_t layer = config.num_hidden_layers; layer-- > 0;) {
    d_x = layers.run(layer, decoded.hidden_states[static_cast<std::size_t>(layer)].flatten(0, 1),
                     d_x);
  }

  result.embeddings = d_x.view(embeddings.sizes());
  at::Tensor d_table = at::zeros_like(parameters.at(table));
  d_table.index_add_(0, layout.input_ids.flatten(), d_x);
  result.parameters = store.gradients();
  if (config.tie_word_embeddings) d_table += result.parameters.at("lm_head.weight");
  result.parameters[table] = d_table;
  return result;
}

}  // namespace packproof::reference
