#include "reference/loss_backward.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace packproof::reference {

LossBackward cross_entropy_backward(const at::Tensor& logits, const at::Tensor& labels) {
  const int64_t length = logits.size(1);
  const int64_t vocabulary = logits.size(2);
  const at::Tensor rows = logits.reshape({-1, vocabulary}).contiguous();
  const at::Tensor targets = labels.contiguous();
  const int64_t* label = targets.data_ptr<int64_t>();
  const double* score = rows.data_ptr<double>();
  LossBackward result;
  result.d_logits = at::zeros_like(rows);
  double* gradient = result.d_logits.data_ptr<double>();
  int64_t count = 0;
  for (int64_t i = 0; i < rows.size(0); ++i) {
    // Row t is scored against label t + 1 of the same batch row.
    if (i % length == length - 1 || label[i + 1] < 0) continue;
    const double* s = score + i * vocabulary;
    double* d = gradient + i * vocabulary;
    const double highest = *std::max_element(s, s + vocabulary);
    for (int64_t c = 0; c < vocabulary; ++c) d[c] = std::exp(s[c] - highest);
    const double total = std::accumulate(d, d + vocabulary, 0.0);
    for (int64_t c = 0; c < vocabulary; ++c) d[c] /= total;
    d[label[i + 1]] -= 1.0;
    result.loss += std::log(total) + highest - s[label[i + 1]];
    ++count;
  }
  result.loss /= static_cast<double>(count);
  result.d_logits /= static_cast<double>(count);
  return result;
}

AuxLossBackward aux_loss_backward(const std::vector<at::Tensor>& router_logits,
                                  const ModelConfig& config, const TokenLayout& layout) {
  const int64_t tokens = layout.batch * layout.length;
  const at::Tensor counted = layout.token_mask.defined()
                                 ? layout.token_mask.reshape({tokens, 1}).to(at::kDouble)
                                 : at::ones({tokens, 1}, at::kDouble);
  at::Tensor choices = at::zeros({config.num_experts}, at::kDouble);
  at::Tensor mass = at::zeros({config.num_experts}, at::kDouble);
  for (const at::Tensor& logits : router_logits) {
    const at::Tensor raised = at::exp(logits - std::get<0>(logits.max(1, true)));
    const at::Tensor p = raised / raised.sum(1, true);
    const at::Tensor order = std::get<1>(p.sort(1, /*descending=*/true));
    const at::Tensor selected =
        at::zeros_like(p).scatter_(1, order.narrow(1, 0, config.num_experts_per_tok), 1.0);
    choices += (selected * counted).sum(0);
    mass += (p * counted).sum(0);
  }
  const double pairs = counted.sum().item<double>() * static_cast<double>(router_logits.size());
  const double experts = static_cast<double>(config.num_experts);
  AuxLossBackward result;
  result.loss = experts * (choices / pairs * (mass / pairs)).sum().item<double>();
  result.d_probabilities = counted * (experts * choices / (pairs * pairs)).unsqueeze(0);
  return result;
}

}  // namespace packproof::reference
