#include "harness/core/fill_gates.h"

#include "harness/core/portable_math.h"
#include "harness/core/random_stream.h"

#include <algorithm>

namespace packproof {
namespace {

constexpr double kSpikeDecay = -100.0;
constexpr double kZeroShare = 0.3;

// exp(-200) is 0 in float32 and every bf16 or f16 near -200 is as good.
constexpr double kZeroArgument = -200.0;

/// Ends of the uniform log decays of a regime.
struct Range {
  double low;
  double high;
};

Range range_of(GateRegime regime) {
  switch (regime) {
    case GateRegime::kMixedZeros:
      return {-0.2, 0.0};
    case GateRegime::kStrong:
      return {-30.0, -5.0};
    case GateRegime::kSlow:
    case GateRegime::kSpike:
    case GateRegime::kDefaultInit:
    case GateRegime::kAllZero:
      break;
  }
  return {-0.05, 0.0};
}

double default_decay_rate(uint64_t seed, int64_t head) {
  return 0.01 + (16.0 - 0.01) * RandomStream(seed, "A_log").at(head).uniform();
}

double default_a(uint64_t seed, int64_t n, int64_t t, int64_t head) {
  return RandomStream(seed, "a").at(n).at(t).at(head).normal();
}

/// The log decay that a regime other than kDefaultInit wants at an element. `margin` is the share
/// of the range left free at both ends.
double wanted_decay(uint64_t seed, GateRegime regime, const Packing& packing, int64_t n, int64_t t,
                    int64_t head, double margin) {
  if (regime == GateRegime::kAllZero) return 0.0;
  const RandomStream sequence = RandomStream(seed, "g").at(n);
  if (regime == GateRegime::kSpike && t == sequence.integer(0, packing.length(n) - 1)) {
    return kSpikeDecay;
  }
  const RandomStream element = sequence.at(t).at(head);
  if (regime == GateRegime::kMixedZeros && element.at(1).uniform() < kZeroShare) return 0.0;
  const Range range = range_of(regime);
  const double share = margin + (1.0 - 2.0 * margin) * element.at(0).uniform();
  return range.low + (range.high - range.low) * share;
}

/// Calls visit(linear index, sequence, token, head) for every element that is not slack.
template <typename Visit>
void for_each_gate(const Packing& packing, int64_t heads, Visit visit) {
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    for (int64_t t = 0; t < packing.length(n); ++t) {
      for (int64_t head = 0; head < heads; ++head) {
        visit((packing.begin(n) + t) * heads + head, n, t, head);
      }
    }
  }
}

Tensor filled_with_nan(DType dtype, std::vector<int64_t> shape) {
  Tensor tensor(dtype, std::move(shape));
  std::ranges::fill(tensor.bytes(), std::byte{0xFF});
  return tensor;
}

}  // namespace

Tensor fill_log_decays(uint64_t seed, GateRegime regime, std::vector<int64_t> shape,
                       const Packing& packing) {
  const int64_t heads = shape.back();
  Tensor g = filled_with_nan(DType::kF32, std::move(shape));
  for_each_gate(packing, heads, [&](int64_t index, int64_t n, int64_t t, int64_t head) {
    if (regime == GateRegime::kDefaultInit) {
      const double softplus = portable::softplus(default_a(seed, n, t, head) + 1.0);
      g.set(index, -default_decay_rate(seed, head) * softplus);
    } else {
      g.set(index, wanted_decay(seed, regime, packing, n, t, head, 0.0));
    }
  });
  return g;
}

GateParameters fill_gate_parameters(uint64_t seed, GateRegime regime, DType dtype,
                                    std::vector<int64_t> shape, const Packing& packing) {
  const int64_t heads = shape.back();
  const bool by_default = regime == GateRegime::kDefaultInit;
  GateParameters gate{filled_with_nan(dtype, std::move(shape)), Tensor(DType::kF32, {heads}),
                      Tensor(DType::kF32, {heads})};
  std::vector<double> rates;
  for (int64_t head = 0; head < heads; ++head) {
    // Rates around 1 let every regime be reached by an argument of moderate size.
    const double rate = by_default ? default_decay_rate(seed, head)
                                   : 0.5 + 1.5 * RandomStream(seed, "A_log").at(head).uniform();
    gate.A_log.set(head, portable::log(rate));
    gate.dt_bias.set(
        head, by_default ? 1.0 : 2.0 * RandomStream(seed, "dt_bias").at(head).uniform() - 1.0);
    rates.push_back(portable::exp(gate.A_log.at(head)));
  }
  // Rounding `a` to bf16 moves it by at most |a| 2^-8. With g above -0.2, |a| < 8 and softplus is
  // at most exponential, so g moves by a factor below e^(2^-5) = 1.04 (a tenth of the range is
  // spared at either end). In [-30, -5], |a| < 64 moves by at most 2^-2, and g by twice that.
  const double margin = 0.1;
  for_each_gate(packing, heads, [&](int64_t index, int64_t n, int64_t t, int64_t head) {
    if (by_default) return gate.a.set(index, default_a(seed, n, t, head));
    const double wanted = wanted_decay(seed, regime, packing, n, t, head, margin);
    const double y = -wanted / rates[static_cast<std::size_t>(head)];
    const double argument = wanted == 0.0 ? kZeroArgument : portable::inverse_softplus(y);
    gate.a.set(index, argument - gate.dt_bias.at(head));
  });
  return gate;
}

}  // namespace packproof
