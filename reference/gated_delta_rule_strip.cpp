#include "reference/gated_delta_rule_strip.h"

#include <algorithm>
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

/// Key rows of a pair of tokens and of the pair after it.
struct PairRows {
  const double* q[2];
  const double* k[4];
};

/// Sums over the key rows of some columns, for both tokens of a pair.
template <int kVectors>
struct PairSums {
  Columns<kVectors> output[2]{};   ///< U_t^T q_t, U_{t+1}^T q_{t+1}.
  Columns<kVectors> next[2]{};     ///< U_{t+1}^T k_{t+2}, U_{t+1}^T k_{t+3}.
  Columns<kVectors> squares[2]{};  ///< |U_t|^2, |U_{t+1}|^2.
};

/// sum += factor row
template <int kVectors>
[[gnu::always_inline]] inline void add(double factor, const Columns<kVectors>& row,
                                       Columns<kVectors>& sum) {
  for (int j = 0; j < kVectors; ++j) sum.part[j] += factor * row.part[j];
}

/// U_t = keep_t U_{t-1} + k_t delta_t^T for both tokens of a pair, and every sum over them; without
/// `kDecay`, `keep` is 1.
template <int kVectors, bool kErrors, bool kDecay>
[[gnu::always_inline]] inline PairSums<kVectors> update(const PairRows& rows, int64_t key_dim,
                                                        const TokenFactors* factors,
                                                        const Columns<kVectors> (&delta)[2],
                                                        double* state) {
  PairSums<kVectors> sums;
  for (int64_t i = 0; i < key_dim; ++i) {
    double* const place = state + i * kStripColumns;
    Columns<kVectors> row = Columns<kVectors>::load(place);
    for (int token = 0; token < 2; ++token) {
      for (int j = 0; j < kVectors; ++j) {
        if constexpr (kDecay) row.part[j] *= factors[token].keep;
      }
      add(rows.k[token][i], delta[token], row);
      add(rows.q[token][i], row, sums.output[token]);
      for (int j = 0; j < kVectors; ++j) {
        if constexpr (kErrors) sums.squares[token].part[j] += row.part[j] * row.part[j];
      }
    }
    row.store(place);
    add(rows.k[2][i], row, sums.next[0]);
    add(rows.k[3][i], row, sums.next[1]);
  }
  return sums;
}

/// One pair of tokens: what is read of them and noted about them, by columns of the strip.
struct PairColumns {
  alignas(32) double v[2][kStripColumns] = {};
  alignas(32) double read[2][kStripColumns];
  alignas(32) double correction[2][kStripColumns];  ///< delta; only with errors.
  alignas(32) double square[2][kStripColumns];      ///< |U|^2; only with errors.
};

/// `kVectors` neighbouring vectors of a strip from column `first` on. The prediction of the second
/// token counts in what the first one adds: k_{t+1}^T U_t = keep_t k_{t+1}^T U_{t-1} + overlap delta.
template <int kVectors, bool kErrors>
[[gnu::always_inline]] inline void advance_pair(const PairRows& rows, int64_t key_dim,
                                                const TokenFactors* factors, int first,
                                                const StripState& strip, PairColumns& columns) {
  double* const second_prediction = strip.prediction + kStripColumns + first;
  Columns<kVectors> prediction[2] = {Columns<kVectors>::load(strip.prediction + first),
                                     Columns<kVectors>::load(second_prediction)};
  Columns<kVectors> delta[2];
  for (int token = 0; token < 2; ++token) {
    const TokenFactors& factor = factors[token];
    delta[token] = Columns<kVectors>::load(columns.v[token] + first);
    for (int j = 0; j < kVectors; ++j) {
      delta[token].part[j] =
          factor.beta * (delta[token].part[j] - factor.predict * prediction[token].part[j]);
    }
    if constexpr (kErrors) delta[token].store(columns.correction[token] + first);
    for (int j = 0; j < kVectors; ++j) delta[token].part[j] *= factor.enter;
    for (int j = 0; token == 0 && j < kVectors; ++j) {
      prediction[1].part[j] =
          factor.keep * prediction[1].part[j] + factor.overlap * delta[0].part[j];
    }
  }
  double* const state = strip.state + first;
  const bool decays = factors[0].keep != 1.0 || factors[1].keep != 1.0;
  const PairSums<kVectors> sums =
      decays ? update<kVectors, kErrors, true>(rows, key_dim, factors, delta, state)
             : update<kVectors, kErrors, false>(rows, key_dim, factors, delta, state);
  sums.next[0].store(strip.prediction + first);
  sums.next[1].store(second_prediction);
  for (int token = 0; token < 2; ++token) {
    sums.output[token].store(columns.read[token] + first);
    if constexpr (kErrors) sums.squares[token].store(columns.square[token] + first);
  }
}

/// Carries the error recursion of one token on.
void advance_errors(const StripTokens& tokens, int64_t t, const double* correction,
                    const double* square, const StripState& strip) {
  const ErrorStep& step = tokens.steps[t];
  double* const error = tokens.output_error + t * tokens.output_stride;
  for (int c = 0; c < tokens.columns; ++c) {
    const double norm = tokens.factors[t].magnitude * std::sqrt(square[c]);
    strip.error[c] = step.keep * strip.error[c] + step.before * strip.norm[c] +
                     step.correction * std::fabs(correction[c]) + step.after * norm + step.floor;
    strip.norm[c] = norm;
    error[c] = step.output * (strip.error[c] + step.read * norm) + step.output_floor;
  }
}

/// Spec 3.1, one pass over the state per pair of tokens: both updates, both read-outs and the
/// predictions of the next pair share the loads. `kVectors` at a time, as many as stay in registers.
template <int kVectors, bool kErrors>
[[gnu::always_inline]] inline void advance(const StripTokens& tokens, const StripState& strip) {
  PairColumns columns;
  for (int64_t t = 0; t < tokens.count; t += 2) {
    const int held = t + 1 < tokens.count ? 2 : 1;
    PairRows rows;
    for (int i = 0; i < 2; ++i) rows.q[i] = tokens.q + (t + i) * tokens.key_dim;
    for (int i = 0; i < 4; ++i) rows.k[i] = tokens.k + (t + i) * tokens.key_dim;
    for (int token = 0; token < held; ++token) {
      const double* const v = tokens.v + (t + token) * tokens.v_stride;
      // Of a known size, a copy is four loads and stores; else a call.
      if (tokens.columns == kStripColumns) {
        std::copy_n(v, kStripColumns, columns.v[token]);
      } else {
        std::copy_n(v, tokens.columns, columns.v[token]);
      }
    }
    for (int first = 0; first < kStripColumns; first += kVectors * kLanes) {
      advance_pair<kVectors, kErrors>(rows, tokens.key_dim, tokens.factors + t, first, strip,
                                      columns);
    }
    for (int token = 0; token < held; ++token) {
      double* const output = tokens.output + (t + token) * tokens.output_stride;
      const double scale = tokens.scale * tokens.factors[t + token].magnitude;
      for (int c = 0; c < tokens.columns; ++c) output[c] = scale * columns.read[token][c];
      if constexpr (kErrors) {
        advance_errors(tokens, t + token, columns.correction[token], columns.square[token], strip);
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
    advance<1, true>(tokens, strip);
  } else {
    advance<2, false>(tokens, strip);
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
