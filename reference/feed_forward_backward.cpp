#include "reference/feed_forward_backward.h"

namespace packproof::reference {
namespace {

at::Tensor logistic(const at::Tensor& z) { return 1.0 / (1.0 + at::exp(-z)); }

}  // namespace

SwigluTape::SwigluTape(ParameterScope scope, const at::Tensor& x)
    : scope_(std::move(scope)), x_(x) {
  gate_ = linear_forward(scope_, "gate_proj", x_);
  up_ = linear_forward(scope_, "up_proj", x_);
  output_ = linear_forward(scope_, "down_proj", gate_ * logistic(gate_) * up_);
}

at::Tensor SwigluTape::backward(const at::Tensor& d_output, GradientStore& store) const {
  const at::Tensor silu = gate_ * logistic(gate_);
  const at::Tensor d_hidden = linear_backward(scope_, "down_proj", silu * up_, d_output, store);
  const at::Tensor d_gate = d_hidden * up_ * silu_derivative(gate_);
  return linear_backward(scope_, "gate_proj", x_, d_gate, store) +
         linear_backward(scope_, "up_proj", x_, d_hidden * silu, store);
}

MoeTape::MoeTape(ParameterScope scope, const ModelConfig& config, const at::Tensor& x)
    : scope_(std::move(scope)), config_(config), x_(x), shared_(scope_.below("shared_expert"), x) {
  const at::Tensor logits = at::mm(x, scope_["gate.weight"].t());
  const at::Tensor shifted = at::exp(logits - std::get<0>(logits.max(1, true)));
  probabilities_ = shifted / shifted.sum(1, true);
  const at::Tensor order = std::get<1>(probabilities_.sort(1, /*descending=*/true));
  selected_ = at::zeros_like(probabilities_)
                  .scatter_(1, order.narrow(1, 0, config.num_experts_per_tok), 1.0);
  weights_ = probabilities_ * selected_;
  if (config.norm_topk_prob) weights_ = weights_ / weights_.sum(1, true);

  shared_gate_ = logistic(at::mm(x, scope_["shared_expert_gate.weight"].t()));
  output_ = shared_gate_ * shared_.output();
  const int64_t width = config.moe_intermediate_size;
  for (int64_t e = 0; e < config.num_experts; ++e) {
    Expert expert;
    expert.index = e;
    expert.rows = at::nonzero(selected_.select(1, e)).squeeze(1);
    if (expert.rows.size(0) == 0) continue;
    const at::Tensor input = x.index_select(0, expert.rows);
    const at::Tensor gate_up = at::mm(input, scope_["experts.gate_up_proj"][e].t());
    expert.gate = gate_up.narrow(1, 0, width);
    expert.up = gate_up.narrow(1, width, width);
    expert.weights = weights_.select(1, e).index_select(0, expert.rows);
    expert.result =
        at::mm(expert.gate * logistic(expert.gate) * expert.up, scope_["experts.down_proj"][e].t());
    output_.index_add_(0, expert.rows, expert.result * expert.weights.unsqueeze(1));
    experts_.push_back(std::move(expert));
  }
}

at::Tensor MoeTape::backward(const at::Tensor& d_output, const at::Tensor& d_probabilities,
                             GradientStore& store) const {
  // y += s S(x) with the scalar gate s = sigma(x . w): dw and dx through ds = <dy, S(x)>.
  const at::Tensor d_gate =
      (d_output * shared_.output()).sum(1, true) * shared_gate_ * (1.0 - shared_gate_);
  at::Tensor d_x = shared_.backward(d_output * shared_gate_, store) +
                   linear_backward(scope_, "shared_expert_gate", x_, d_gate, store);

  ExpertGradients gradients{at::zeros_like(scope_["experts.gate_up_proj"]),
                            at::zeros_like(scope_["experts.down_proj"]), at::zeros_like(weights_)};
  for (const Expert& expert : experts_) {
    d_x.index_add_(0, expert.rows, expert_backward(expert, d_output, gradients));
  }
  store.add(scope_.prefix() + "experts.gate_up_proj", gradients.gate_up);
  store.add(scope_.prefix() + "experts.down_proj", gradients.down);
  return d_x + router_backward(gradients.weights, d_probabilities, store);
}

at::Tensor MoeTape::expert_backward(const Expert& expert, const at::Tensor& d_output,
                                    ExpertGradients& gradients) const {
  const at::Tensor dy = d_output.index_select(0, expert.rows);
  gradients.weights.select(1, expert.index)
      .index_copy_(0, expert.rows, (dy * expert.result).sum(1));
  const at::Tensor d_result = dy * expert.weights.unsqueeze(1);
  const at::Tensor silu = expert.gate * logistic(expert.gate);
  const at::Tensor d_hidden = at::mm(d_result, scope_["experts.down_proj"][expert.index]);
  const at::Tensor d_gate_up =
      at::cat({d_hidden * expert.up * silu_derivative(expert.gate), d_hidden * silu}, 1);
  const at::Tensor input = x_.index_select(0, expert.rows);
  gradients.down[expert.index] = at::mm(d_result.t(), silu * expert.up);
  gradients.gate_up[expert.index] = at::mm(d_gate_up.t(), input);
  return at::mm(d_gate_up, scope_["experts.gate_up_proj"][expert.index]);
}

at::Tensor MoeTape::router_backward(const at::Tensor& d_weights, const at::Tensor& d_probabilities,
                                    GradientStore& store) const {
  at::Tensor d_chosen = d_weights;
  if (config_.norm_topk_prob) {
    // w = t / sum(t): dt = (dw - sum(dw w)) / sum(t).
    const at::Tensor total = (probabilities_ * selected_).sum(1, true);
    d_chosen = (d_weights - (d_weights * weights_).sum(1, true)) / total;
  }
  at::Tensor d_p = d_chosen * selected_;
  if (d_probabilities.defined()) d_p = d_p + d_probabilities;
  const at::Tensor d_logits = probabilities_ * (d_p - (d_p * probabilities_).sum(1, true));
  store.add(scope_.prefix() + "gate.weight", at::mm(d_logits.t(), x_));
  return at::mm(d_logits, scope_["gate.weight"]);
}

}  // namespace packproof::reference
