#include "reference/random_weights.h"

#include "harness/core/portable_math.h"
#include "harness/core/random_stream.h"

#include <cmath>
#include <string_view>
#include <utility>

namespace packproof::reference {
namespace {

// exp(-800) is 0 in double, so g is exactly -0.
constexpr double kNoDecay = -800.0;

/// A and dt_bias of one head before they are spread by noise.
struct Gate {
  double rate;  ///< 0 for a head that does not decay.
  double dt_bias;
};

Gate gate_of(GateRegime regime, int64_t head, const RandomStream& stream) {
  constexpr Gate kSlow{0.012, 0.0};
  switch (regime) {
    case GateRegime::kDefaultInit:
      return {0.01 + (16.0 - 0.01) * stream.at(head).at(1).uniform(), 1.0};
    case GateRegime::kMixedZeros:
      // Heads 1, 4 and 7 of ten, so that two heads already hold both kinds.
      return {head % 10 % 3 == 1 ? 0.0 : 0.1, 0.0};
    case GateRegime::kAllZero:
      return {0.0, 0.0};
    case GateRegime::kStrong:
      return {8.0, 1.0};
    case GateRegime::kSpike:
      return head % 4 == 1 ? Gate{75.0, 1.0} : kSlow;
    case GateRegime::kSlow:
      break;
  }
  return kSlow;
}

/// Element i of a tensor is normal with `mean` and `deviation`.
struct Spread {
  double mean = 0.0;
  double deviation = 1.0;
};

Spread spread_of(std::string_view name, const std::vector<int64_t>& shape) {
  if (name.ends_with("linear_attn.norm.weight")) return {1.0, 0.2};
  if (name.ends_with("norm.weight")) return {0.0, 0.2};  // Applied as 1 + w (spec 2.2).
  if (name.ends_with(".bias")) return {0.0, 0.1};
  if (name.ends_with("conv1d.weight")) return {0.0, 0.6};
  if (name.ends_with("embed_tokens.weight")) return {0.0, 1.0};
  return {0.0, 1.0 / std::sqrt(static_cast<double>(shape.back()))};
}

/// The library's own initialisation (spec 2.1, end).
Spread library_spread(std::string_view name, const ModelConfig& config) {
  if (name.ends_with("linear_attn.norm.weight")) return {1.0, 0.0};
  if (name.ends_with("norm.weight") || name.ends_with(".bias")) return {0.0, 0.0};
  return {0.0, config.initializer_range};
}

double gate_parameter(bool is_rate, GateRegime regime, int64_t head, const RandomStream& stream) {
  const Gate gate = gate_of(regime, head, stream);
  if (is_rate && gate.rate == 0.0) return kNoDecay;
  // The default initialisation is exact; the other regimes differ from head to head.
  const double noise =
      regime == GateRegime::kDefaultInit ? 0.0 : 0.1 * stream.at(head).at(0).normal();
  return (is_rate ? portable::log(gate.rate) : gate.dt_bias) + noise;
}

}  // namespace

Checkpoint random_checkpoint(const ModelConfig& config, GateRegime gate, uint64_t seed,
                             WeightInit init) {
  Checkpoint checkpoint;
  for (ExpectedTensor& expected : expected_tensors(config)) {
    const RandomStream stream(seed, expected.name);
    const bool is_rate = expected.name.ends_with(".A_log");
    const bool is_gate = is_rate || expected.name.ends_with(".dt_bias");
    const Spread spread = init == WeightInit::kLibrary ? library_spread(expected.name, config)
                                                       : spread_of(expected.name, expected.shape);
    Tensor tensor(DType::kF64, expected.shape);
    int64_t index = 0;
    for (double& value : tensor.values<double>()) {
      value = is_gate ? gate_parameter(is_rate, gate, index, stream)
                      : spread.mean + spread.deviation * stream.at(index).normal();
      ++index;
    }
    checkpoint.tensors.emplace(std::move(expected.name), std::move(tensor));
  }
  return checkpoint;
}

}  // namespace packproof::reference
