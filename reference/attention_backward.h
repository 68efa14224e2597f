#pragma once

#include "reference/linear_backward.h"
#include "reference/model_config.h"
#include "reference/parameters.h"
#include "reference/token_layout.h"

#include <vector>

#include <ATen/ATen.h>

namespace packproof::reference {

/// Gated softmax attention (spec 2.4) on u [T, D], T = B * L, with what its hand-written backward
/// needs. Scores are formed again in the backward, one block of queries of one head at a time.
class AttentionTape {
 public:
  AttentionTape(ParameterScope scope, const ModelConfig& config, const TokenLayout& layout,
                const at::Tensor& u);

  const at::Tensor& output() const { return output_; }

  at::Tensor backward(const at::Tensor& d_output, GradientStore& store) const;  ///< Returns du.

 private:
  /// A block of queries of one head of one sequence, as ranges of flat rows.
  struct Block {
    int64_t head, kv_head;
    int64_t query_begin, query_end;
    int64_t key_begin, key_end;
    at::Tensor hidden;  ///< bool [queries, keys].
  };

  std::vector<Block> blocks() const;
  at::Tensor block_weights(const Block& block) const;

  ParameterScope scope_;
  ModelConfig config_;
  TokenLayout layout_;
  at::Tensor u_;
  at::Tensor query_raw_, key_raw_;  ///< Before norm and rotation, [T, H, d].
  at::Tensor query_, key_, value_;  ///< [T, H, d].
  at::Tensor gate_;                 ///< sigma(gate), [T, Hq, d].
  at::Tensor mixed_;                ///< Attention output before the gate, [T, Hq, d].
  at::Tensor cos_, sin_;            ///< [T, 1, d_r / 2].
  at::Tensor output_;
};

}  // namespace packproof::reference
