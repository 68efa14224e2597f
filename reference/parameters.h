#pragma once

#include <map>
#include <string>
#include <string_view>

#include <ATen/ATen.h>

namespace packproof::reference {

/// The model's parameters by checkpoint name (spec 2.1), f64. Tied embeddings have one entry.
using Parameters = std::map<std::string, at::Tensor>;

/// The parameters below one name prefix: `ParameterScope(p, "model.layers.3.mlp.")["gate.weight"]`.
/// Loading has checked that every name exists, so a missing one is a programming mistake.
class ParameterScope {
 public:
  ParameterScope(const Parameters& parameters, std::string prefix)
      : parameters_(&parameters), prefix_(std::move(prefix)) {}

  ParameterScope below(std::string_view segment) const {
    return ParameterScope(*parameters_, prefix_ + std::string(segment) + ".");
  }

  const at::Tensor& operator[](std::string_view name) const {
    return parameters_->at(prefix_ + std::string(name));
  }

  bool has(std::string_view name) const {
    return parameters_->contains(prefix_ + std::string(name));
  }

  const std::string& prefix() const { return prefix_; }

  /// y = x W^T (+ bias where the checkpoint has one), spec 2.
  at::Tensor linear(const at::Tensor& x, std::string_view name) const {
    const std::string base(name);
    const at::Tensor& weight = (*this)[base + ".weight"];
    return has(base + ".bias") ? at::linear(x, weight, (*this)[base + ".bias"])
                               : at::linear(x, weight);
  }

 private:
  const Parameters* parameters_;
  std::string prefix_;
};

inline ParameterScope layer_scope(const Parameters& parameters, int64_t layer) {
  return ParameterScope(parameters, "model.layers." + std::to_string(layer) + ".");
}

}  // namespace packproof::reference
