#include "reference/moe.h"

#include "reference/mlp.h"

#include <tuple>

namespace packproof::reference {

MoeResult moe_block(const ParameterScope& scope, const ModelConfig& config, const at::Tensor& x) {
  const at::Tensor logits = at::linear(x, scope["gate.weight"]);
  auto [weight, chosen] = at::topk(at::softmax(logits, -1), config.num_experts_per_tok, -1);
  if (config.norm_topk_prob) weight = weight / weight.sum(-1, true);

  const at::Tensor gate_up = scope["experts.gate_up_proj"];  // [E, 2 Ie, D]
  const at::Tensor down = scope["experts.down_proj"];        // [E, D, Ie]
  const int64_t width = config.moe_intermediate_size;
  at::Tensor output = at::zeros_like(x);
  for (int64_t expert = 0; expert < config.num_experts; ++expert) {
    const at::Tensor pairs = at::nonzero(chosen == expert);  // [pairs, 2]: token, slot
    if (pairs.size(0) == 0) continue;
    const at::Tensor token = pairs.select(1, 0);
    const at::Tensor h = at::linear(x.index_select(0, token), gate_up[expert]);
    const at::Tensor activated = at::silu(h.narrow(-1, 0, width)) * h.narrow(-1, width, width);
    const at::Tensor share = weight.index({token, pairs.select(1, 1)}).unsqueeze(-1);
    output = output.index_add(0, token, at::linear(activated, down[expert]) * share);
  }
  const at::Tensor shared_gate = at::sigmoid(at::linear(x, scope["shared_expert_gate.weight"]));
  output = output + shared_gate * swiglu_mlp(scope.below("shared_expert"), x);
  return {output, logits};
}

}  // namespace packproof::reference
