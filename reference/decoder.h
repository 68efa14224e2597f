#pragma once

#include "reference/attention.h"
#include "reference/gated_delta_net.h"
#include "reference/mixer_ops.h"
#include "reference/model_config.h"
#include "reference/parameters.h"
#include "reference/token_layout.h"

#include <map>
#include <vector>

#include <ATen/ATen.h>

namespace packproof::reference {

/// What all layers carry from call to call (spec 4.4), by layer.
struct DecoderState {
  std::map<int64_t, KeyValues> attention;
  std::map<int64_t, MixerState> mixer;
};

struct DecoderOptions {
  bool hidden_states = false;
  bool rope_float32 = false;
  bool keep_keys = false;  ///< Store keys and values in the state: a cached call.
};

struct DecoderOutput {
  at::Tensor residual;                    ///< Before the final norm, [B, L, D].
  at::Tensor last_hidden;                 ///< After it.
  std::vector<at::Tensor> hidden_states;  ///< Embeddings, each layer's output, `last_hidden`.
  std::vector<at::Tensor> router_logits;  ///< Mixture layers in order, [B * L, E].
};

/// Layers and final norm (spec 2.3) on `embeddings` [B, L, D]. Differentiable wherever the
/// parameters or the embeddings ask for gradients.
DecoderOutput run_decoder(const Parameters& parameters, const ModelConfig& config,
                          const at::Tensor& embeddings, const TokenLayout& layout,
                          const MixerOps& ops, const DecoderOptions& options, DecoderState& state);

/// The table whose rows the logits are products with: the embeddings when tied.
const at::Tensor& head_weight(const Parameters& parameters, const ModelConfig& config);

}  // namespace packproof::reference
