#pragma once

#include "harness/core/result.h"
#include "harness/core/tensor.h"
#include "reference/model_config.h"
#include "reference/token_layout.h"

#include <vector>

#include <ATen/ATen.h>

namespace packproof::reference {

/// Labels that the loss skips.
constexpr int64_t kIgnoredLabel = -100;

/// labels i64 [B, L], each -100 or a vocabulary index; refuses others by place, and a batch without
/// a scored target (its mean would be 0/0).
Status check_labels(const Tensor& labels, const TokenLayout& layout, const ModelConfig& config);

/// Mean cross entropy of logits [B, L, V_voc] at t against labels [B, L] at t + 1 (spec 2.7).
at::Tensor causal_lm_loss(const at::Tensor& logits, const at::Tensor& labels);

/// Load-balancing loss over all mixture layers' router logits [B * L, E] (spec 2.7); pads and slack
/// rows are excluded.
at::Tensor router_aux_loss(const std::vector<at::Tensor>& router_logits, const ModelConfig& config,
                           const TokenLayout& layout);

/// Whether the training loss contains the auxiliary loss.
bool has_aux_loss(const ModelConfig& config);

}  // namespace packproof::reference
