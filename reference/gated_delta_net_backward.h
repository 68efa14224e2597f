#pragma once

#include "reference/conv_formulas.h"
#include "reference/delta_rule_tensors.h"
#include "reference/linear_backward.h"
#include "reference/model_config.h"
#include "reference/parameters.h"
#include "reference/token_layout.h"

#include <string>
#include <vector>

#include <ATen/ATen.h>

namespace packproof::reference {

/// Gated DeltaNet (spec 2.5) on u [T, D], T = B * L, with what its hand-written backward needs. Every
/// layout is treated as a pack: batch rows of the padded form are sequences of L tokens.
class DeltaNetTape {
 public:
  DeltaNetTape(ParameterScope scope, const ModelConfig& config, const TokenLayout& layout,
               const at::Tensor& u);

  const at::Tensor& output() const { return output_; }

  at::Tensor backward(const at::Tensor& d_output, GradientStore& store) const;  ///< Returns du.

 private:
  /// Rows of a stored projection weight that make one of q | k | v, z, b, a. Qwen3-Next stores them
  /// interleaved by key head, the others one after the other.
  struct Projection {
    std::string name;
    at::Tensor rows;  ///< i64; undefined for all rows in order.
  };

  at::Tensor project(const Projection& projection) const;
  at::Tensor project_backward(const Projection& projection, const at::Tensor& d_output,
                              Parameters& d_weights) const;

  ConvProblem conv_problem() const;
  DeltaRuleTensors rule_tensors() const;
  void form_gates();
  void form_activated();
  void form_normed();

  struct Gates {
    at::Tensor d_a, d_b;  ///< [T, Hv].
  };

  /// Through gate and sigmoid of beta.
  Gates gates_backward(const at::Tensor& d_g, const at::Tensor& d_beta, GradientStore& store) const;
  at::Tensor conv_backward(const at::Tensor& d_activated, GradientStore& store) const;

  struct Normed {
    at::Tensor d_rule, d_z;  ///< [T * Hv, V].
  };

  Normed norm_backward(const at::Tensor& d_normed, GradientStore& store) const;

  ParameterScope scope_;
  ModelConfig config_;
  std::vector<int64_t> cu_seqlens_;
  at::Tensor mask_;   ///< f64 [T, 1] or undefined.
  at::Tensor input_;  ///< Masked u.
  Projection qkv_, z_name_, b_name_, a_name_;
  at::Tensor c_, z_, b_, a_;  ///< [T, cd], [T * Hv, V], [T, Hv], [T, Hv].
  at::Tensor activated_;      ///< After convolution and SiLU, [T, cd].
  at::Tensor g_, beta_;       ///< [T, Hv].
  at::Tensor rule_;           ///< [T * Hv, V].
  at::Tensor normed_;         ///< [T * Hv, V].
  at::Tensor conv_weight_;    ///< [cd, Kc].
  at::Tensor output_;
};

}  // namespace packproof::reference
