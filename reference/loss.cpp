#include "reference/loss.h"

#include <string>

namespace packproof::reference {

Status check_labels(const Tensor& labels, const TokenLayout& layout, const ModelConfig& config) {
  const std::vector<int64_t> shape{layout.batch, layout.length};
  if (labels.dtype() != DType::kI64 || labels.shape() != shape) {
    return invalid_input("labels: expected i64 " + shape_text(shape) + ", found " +
                         std::string(name_of(labels.dtype())) + " " + shape_text(labels.shape()));
  }
  int64_t scored = 0;
  for (int64_t i = 0; i < labels.numel(); ++i) {
    const int64_t value = labels.int_at(i);
    if (value == kIgnoredLabel) continue;
    if (value < 0 || value >= config.vocab_size) {
      return invalid_input(
          "labels[" + std::to_string(i / layout.length) + ", " + std::to_string(i % layout.length) +
          "]: expected -100 or a value in [0, " + std::to_string(config.vocab_size - 1) +
          "], found " + std::to_string(value));
    }
    if (i % layout.length > 0) ++scored;
  }
  if (scored == 0) {
    return invalid_input(
        "labels: expected at least one scored target after the first column, found none");
  }
  return {};
}

at::Tensor causal_lm_loss(const at::Tensor& logits, const at::Tensor& labels) {
  const int64_t last = logits.size(1) - 1;
  const at::Tensor scores = at::log_softmax(logits.narrow(1, 0, last), -1);
  const at::Tensor target = labels.narrow(1, 1, last);
  const at::Tensor scored = target != kIgnoredLabel;
  const at::Tensor picked = scores.gather(-1, target.clamp_min(0).unsqueeze(-1)).squeeze(-1);
  return -(picked * scored.to(at::kDouble)).sum() / scored.sum();
}

at::Tensor router_aux_loss(const std::vector<at::Tensor>& router_logits, const ModelConfig& config,
                           const TokenLayout& layout) {
  std::vector<at::Tensor> kept;
  for (const at::Tensor& logits : router_logits) {
    kept.push_back(layout.token_mask.defined()
                       ? logits.index_select(0, at::nonzero(layout.token_mask.flatten()).squeeze(1))
                       : logits);
  }
  const at::Tensor p = at::softmax(at::cat(kept, 0), -1);  // [layers * tokens, E]
  const at::Tensor chosen = std::get<1>(at::topk(p.detach(), config.num_experts_per_tok, -1));
  // Summing the slots' fractions is counting how often an expert was chosen in any slot.
  const at::Tensor fraction =
      at::one_hot(chosen, config.num_experts).to(at::kDouble).sum(1).mean(0);
  return config.num_experts * (fraction * p.mean(0)).sum();
}

bool has_aux_loss(const ModelConfig& config) {
  if (!config.output_router_logits) return false;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    if (config.is_moe_layer(layer)) return true;
  }
  return false;
}

}  // namespace packproof::reference
