#pragma once

#include "reference/model_config.h"
#include "reference/parameters.h"
#include "reference/rope.h"
#include "reference/token_layout.h"

#include <ATen/ATen.h>

namespace packproof::reference {

/// Keys (after RoPE) and values of one layer, f64 [B, S, Hkv, d]; undefined before the first call.
struct KeyValues {
  at::Tensor keys;
  at::Tensor values;
};

/// Causal softmax attention of one sequence (spec 2.4 step 4): q [L, Hq, d] are the last L of the S
/// positions of k, v [S, Hkv, d]; `key_mask` bool [S] or undefined. A query without any allowed key
/// (a pad) attends to itself, which keeps it finite and reaches no other row. Scores exist for a
/// block of queries at a time, so memory is linear in S. Returns [L, Hq, d].
at::Tensor causal_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            const at::Tensor& key_mask);

/// Gated softmax attention (spec 2.4) on u [B, L, D]; `scope` is the layer's "self_attn.".
/// Sequences of a packed batch see only themselves. With `cache`, its keys come first and the new
/// ones are added.
at::Tensor gated_attention(const ParameterScope& scope, const ModelConfig& config,
                           const at::Tensor& u, const RotaryTable& rotary,
                           const TokenLayout& layout, KeyValues* cache);

}  // namespace packproof::reference
