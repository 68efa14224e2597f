#pragma once

#include "reference/model_config.h"
#include "reference/parameters.h"
#include "reference/token_layout.h"

#include <ATen/ATen.h>

namespace packproof::reference {

/// The training loss (spec 2.7) with its gradients.
struct LossGradients {
  double loss = 0.0;
  double aux_loss = 0.0;
  at::Tensor logits;      ///< [B, L, V_voc].
  at::Tensor embeddings;  ///< Gradient of the embedded rows, [B, L, D].
  Parameters parameters;  ///< By checkpoint name; see Model::LossResult for tied embeddings.
};

/// By automatic differentiation of the definition.
LossGradients autograd_gradients(const Parameters& parameters, const ModelConfig& config,
                                 const TokenLayout& layout, const at::Tensor& labels);

/// By the formulas of spec 3.3 and 3.5 and their like, written by hand, block by block from the
/// last layer to the first. Shares no code with the other way beyond the forward values of layer
/// inputs.
LossGradients derived_gradients(const Parameters& parameters, const ModelConfig& config,
                                const TokenLayout& layout, const at::Tensor& labels);

}  // namespace packproof::reference
