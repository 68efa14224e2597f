#include "reference/gated_delta_rule_strip.h"

#include <cmath>

namespace packproof::reference {
namespace {

using Vector = double __attribute__((vector_size(32), may_alias));

constexpr int kLanes = 4;

/// `kVectors` neighbouring vectors of a strip.
template <int kVectors>
struct Columns {
  Vector part[kVectors];

  [[gnu::always_inline]] static Columns load(const double* values) {
    Columns result;
    for (int j = 0; j < kVectors; ++j) {
      result.part[j] = *reinterpret_cast<const Vector*>(values + j * kLanes);
    }
    return result;
  }

  [[gnu::always_inline]] void store(double* values) const {
    for (int j = 0; j < kVectors; ++j) {
      *reinterpret_cast<Vector*>(values + j * kLanes) = part[j];
    }
  }
};

struct TokenRows {
  const double* q;
  const double* k;
  const double* k_next;
};

/// Sums over the key rows of some columns.
template <int kVectors>
struct StripSums {
  Columns<kVectors> output{};   ///< S_t^T q_t.
  Columns<kVectors> next{};     ///< S_t^T k_{t+1}.
  Columns<kVectors> squares{};  ///< |S_t|^2.
};

/// S_t = decay S_{t-1} + k_t delta^T and every sum over it.
template <int kVectors, bool kErrors>
[[gnu::always_inline]] inline StripSums<kVectors> update(const TokenRows& rows, int64_t key_dim,
                                                         double decay,
                                                         const Columns<kVectors>& delta,
                                                         double* state) {
  StripSums<kVectors> sums;
  for (int64_t i = 0; i < key_dim; ++i) {
    double* const place = state + i * kStripColumns;
    Columns<kVectors> row = Columns<kVectors>::load(place);
    for (int j = 0; j < kVectors; ++j) {
      row.part[j] = decay * row.part[j] + rows.k[i] * delta.part[j];
      sums.output.part[j] += rows.q[i] * row.part[j];
      sums.next.part[j] += rows.k_next[i] * row.part[j];
      if constexpr (kErrors) sums.squares.part[j] += row.part[j] * row.part[j];
    }
    row.store(place);
  }
  return sums;
}

/// Spec 3.1, one pass over the state per token: the update of token t, its read-out and the
/// prediction of token t + 1 share the loads. `kVectors` at a time, as many as stay in registers.
template <int kVectors, bool kErrors>
[[gnu::always_inline]] inline void advance(const StripTokens& tokens, const StripState& strip) {
  constexpr int kColumns = kVectors * kLanes;
  alignas(32) double v[kStripColumns] = {};
  alignas(32) double read[kStripColumns];
  alignas(32) double correction[kStripColumns];
  alignas(32) double square[kStripColumns];
  for (int64_t t = 0; t < tokens.count; ++t) {
    const double* const k = tokens.k + t * tokens.key_stride;
    const TokenRows rows{tokens.q + t * tokens.key_stride, k,
                         t + 1 < tokens.count ? k + tokens.key_stride : tokens.k_after};
    const double decay = tokens.decay[t * tokens.gate_stride];
    const double beta = tokens.beta[t * tokens.gate_stride];
    for (int c = 0; c < tokens.columns; ++c) v[c] = tokens.v[t * tokens.value_stride + c];

    for (int first = 0; first < kStripColumns; first += kColumns) {
      Columns<kVectors> delta = Columns<kVectors>::load(v + first);
      const auto prediction = Columns<kVectors>::load(strip.prediction + first);
      for (int j = 0; j < kVectors; ++j) {
        delta.part[j] = beta * (delta.part[j] - decay * prediction.part[j]);
      }
      const StripSums<kVectors> sums =
          update<kVectors, kErrors>(rows, tokens.key_dim, decay, delta, strip.state + first);
      sums.next.store(strip.prediction + first);
      sums.output.store(read + first);
      if constexpr (kErrors) {
        delta.store(correction + first);
        sums.squares.store(square + first);
      }
    }
    double* const output = tokens.output + t * tokens.value_stride;
    for (int c = 0; c < tokens.columns; ++c) output[c] = tokens.scale * read[c];
    if constexpr (kErrors) {
      const ErrorStep& step = tokens.steps[t];
      double* const error = tokens.output_error + t * tokens.value_stride;
      for (int c = 0; c < tokens.columns; ++c) {
        const double norm = std::sqrt(square[c]);
        strip.error[c] = step.keep * strip.error[c] + step.before * strip.norm[c] +
                         step.correction * std::fabs(correction[c]) + step.after * norm +
                         step.floor;
        strip.norm[c] = norm;
        error[c] = step.output * (strip.error[c] + step.read * norm) + step.output_floor;
      }
    }
  }
}

}  // namespace

void advance_strip_baseline(const StripTokens& tokens, const StripState& strip) {
  if (tokens.steps != nullptr) {
    advance<1, true>(tokens, strip);
  } else {
    advance<1, false>(tokens, strip);
  }
}

#if defined(__x86_64__)
// Fused multiply-adds are allowed here, and only here: without them the arithmetic of a token takes
// nearly twice as long. Nothing is reassociated, so both versions differ by roundings alone.
[[gnu::target("avx2,fma"), gnu::optimize("fp-contract=fast")]] void advance_strip_avx2(
    const StripTokens& tokens, const StripState& strip) {
  if (tokens.steps != nullptr) {
    advance<2, true>(tokens, strip);
  } else {
    advance<4, false>(tokens, strip);
  }
}

bool cpu_has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }
#else
void advance_strip_avx2(const StripTokens& tokens, const StripState& strip) {
  advance_strip_baseline(tokens, strip);
}

bool cpu_has_avx2() { return false; }
#endif

}  // namespace packproof::reference
