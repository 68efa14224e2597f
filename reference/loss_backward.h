#pragma once

#include "reference/model_config.h"
#include "reference/token_layout.h"

#include <vector>

#include <ATen/ATen.h>

namespace packproof::reference {

struct LossBackward {
  double loss = 0.0;    ///< Mean cross entropy, without the auxiliary loss.
  at::Tensor d_logits;  ///< [B * L, V_voc].
};

/// Mean cross entropy of spec 2.7 and its gradient (softmax - one_hot) / count at scored rows, zero
/// elsewhere. logits [B, L, V_voc], labels i64 [B, L].
LossBackward cross_entropy_backward(const at::Tensor& logits, const at::Tensor& labels);

struct AuxLossBackward {
  double loss = 0.0;
  at::Tensor d_probabilities;  ///< [B * L, E], the same for every mixture layer.
};

/// Auxiliary loss of spec 2.7: aux = E sum_e F_e mean_p_e with F_e the choices of expert e per (layer,
/// token), which are constants, so that d aux / d p = E F_e / (layers * tokens) at every counted row.
AuxLossBackward aux_loss_backward(const std::vector<at::Tensor>& router_logits,
                                  const ModelConfig& config, const TokenLayout& layout);

}  // namespace packproof::reference
