#pragma once

#include "reference/linear_backward.h"
#include "reference/model_config.h"
#include "reference/parameters.h"

#include <ATen/ATen.h>

namespace packproof::reference {

/// Dense SwiGLU (spec 2.6) on x [T, D], with what its hand-written backward needs.
class SwigluTape {
 public:
  SwigluTape(ParameterScope scope, const at::Tensor& x);

  const at::Tensor& output() const { return output_; }

  at::Tensor backward(const at::Tensor& d_output, GradientStore& store) const;  ///< Returns dx.

 private:
  ParameterScope scope_;
  at::Tensor x_, gate_, up_, output_;
};

/// Router, experts and gated shared expert (spec 2.6) on x [T, D].
class MoeTape {
 public:
  MoeTape(ParameterScope scope, const ModelConfig& config, const at::Tensor& x);

  const at::Tensor& output() const { return output_; }

  /// `d_probabilities` [T, E] is what reaches the router's softmax from elsewhere (the auxiliary
  /// loss); undefined for nothing. Returns dx.
  at::Tensor backward(const at::Tensor& d_output, const at::Tensor& d_probabilities,
                      GradientStore& store) const;

 private:
  struct Expert {
    int64_t index;
    at::Tensor rows;     ///< i64 [n]: tokens that chose it.
    at::Tensor weights;  ///< [n], after renormalisation.
    at::Tensor gate, up, result;
  };

  struct ExpertGradients {
    at::Tensor gate_up, down;  ///< Of all experts, zero where an expert was not chosen.
    at::Tensor weights;        ///< [T, E].
  };

  at::Tensor expert_backward(const Expert& expert, const at::Tensor& d_output,
                             ExpertGradients& gradients) const;
  at::Tensor router_backward(const at::Tensor& d_weights, const at::Tensor& d_probabilities,
                             GradientStore& store) const;

  ParameterScope scope_;
  ModelConfig config_;
  at::Tensor x_;
  at::Tensor probabilities_;  ///< [T, E].
  at::Tensor selected_;       ///< f64 [T, E]: 1 where chosen.
  at::Tensor weights_;        ///< [T, E]: 0 where not chosen.
  std::vector<Expert> experts_;
  SwigluTape shared_;
  at::Tensor shared_gate_;  ///< [T, 1].
  at::Tensor output_;
};

}  // namespace packproof::reference
