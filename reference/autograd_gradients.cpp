#include "reference/decoder.h"
#include "reference/loss.h"
#include "reference/loss_gradients.h"

namespace packproof::reference {
namespace {

at::Tensor gradient_of(const at::Tensor& leaf) {
  return leaf.grad().defined() ? leaf.grad() : at::zeros_like(leaf.detach());
}

}  // namespace

LossGradients autograd_gradients(const Parameters& parameters, const ModelConfig& config,
                                 const TokenLayout& layout, const at::Tensor& labels) {
  Parameters leaves;
  for (const auto& [name, tensor] : parameters) {
    leaves[name] = tensor.detach().requires_grad_(true);
  }
  // The embedded rows are a leaf of their own, so that the table's leaf only sees the output head.
  const at::Tensor& table = parameters.at("model.embed_tokens.weight");
  const at::Tensor embeddings =
      at::embedding(table.detach(), layout.input_ids).requires_grad_(true);

  const OpHook no_hook;
  DecoderState state;
  const DecoderOutput decoded =
      run_decoder(leaves, config, embeddings, layout, MixerOps(no_hook, OpForm::kDefinition),
                  DecoderOptions{}, state);
  const at::Tensor logits = at::linear(decoded.last_hidden, head_weight(leaves, config));
  at::Tensor loss = causal_lm_loss(logits, labels);
  LossGradients result;
  if (has_aux_loss(config)) {
    const at::Tensor aux = router_aux_loss(decoded.router_logits, config, layout);
    result.aux_loss = aux.item<double>();
    loss = loss + config.router_aux_loss_coef * aux;
  }
  loss.backward();

  result.loss = loss.item<double>();
  result.logits = logits.detach();
  result.embeddings = gradient_of(embeddings);
  for (const auto& [name, leaf] : leaves) result.parameters[name] = gradient_of(leaf);
  const at::Tensor head_share = result.parameters["model.embed_tokens.weight"];
  if (config.tie_word_embeddings) result.parameters["lm_head.weight"] = head_share;
  result.parameters["model.embed_tokens.weight"] =
      head_share.index_add(0, layout.input_ids.flatten(), result.embeddings.flatten(0, 1));
  return result;
}

}  // namespace packproof::reference
