#pragma once

#include "reference/delta_rule_problem.h"
#include "reference/float32_error.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace packproof::reference {

/// Inputs of causal_conv1d (spec 2.5 step 3) as contiguous f64 arrays that the caller owns.
struct ConvProblem {
  const double* x = nullptr;              ///< [R, C].
  const double* weight = nullptr;         ///< [C, W].
  const double* bias = nullptr;           ///< [C] or null.
  const double* initial_state = nullptr;  ///< [N, C, W - 1] or null.
  const int64_t* seq_idx = nullptr;       ///< [R] or null.
  int64_t num_rows = 0;
  int64_t channels = 0;
  int64_t width = 0;
  std::vector<RowSpan> sequences;  ///< Rows outside of all are computed only by `seq_idx`.
  bool silu = true;
};

/// Where the results of one instantiation go; null where not wanted.
struct ConvGradients {
  double* x = nullptr;
  double* weight = nullptr;
  double* bias = nullptr;
  double* initial_state = nullptr;
};

/// The convolution and its gradients by the formulas of spec 2.5 and 3.5, channel by channel, for
/// every number type of `float32_error.h`.
template <typename Number>
class ConvFormula {
 public:
  explicit ConvFormula(const ConvProblem& problem) : problem_(problem) {
    begin_.assign(static_cast<std::size_t>(problem.num_rows), kNoSequence);
    sequence_.assign(static_cast<std::size_t>(problem.num_rows), -1);
    for (std::size_t n = 0; n < problem.sequences.size(); ++n) {
      const RowSpan span = problem.sequences[n];
      std::fill(begin_.begin() + span.begin, begin_.begin() + span.end, span.begin);
      std::fill(sequence_.begin() + span.begin, sequence_.begin() + span.end,
                static_cast<int64_t>(n));
    }
  }

  /// output[r * C + c] of every row that is defined.
  void forward(int64_t channel, double* output) const {
    for (int64_t row = 0; row < problem_.num_rows; ++row) {
      if (!defined(row)) continue;
      const Number c = before_activation(row, channel);
      output[row * problem_.channels + channel] = outcome(problem_.silu ? silu(c) : c);
    }
  }

  /// dc_t = dy_t silu'(c_t); dx_t = sum_j w_j dc_{t+W-1-j}; dw_j = sum_t dc_t x_{t-W+1+j};
  /// dbias = sum_t dc_t. A final state hands its gradient to the inputs that it holds.
  void backward(int64_t channel, const double* d_output, const double* d_final_state,
                const ConvGradients& gradients) const {
    const int64_t taps = problem_.width;
    std::vector<Sum<Number>> d_x(static_cast<std::size_t>(problem_.num_rows));
    std::vector<Sum<Number>> d_state(problem_.sequences.size() *
                                     static_cast<std::size_t>(taps - 1));
    std::vector<Sum<Number>> d_weight(static_cast<std::size_t>(taps));
    Sum<Number> d_bias;
    for (int64_t row = 0; row < problem_.num_rows; ++row) {
      if (!defined(row)) continue;
      Number d_c = Number(d_output[row * problem_.channels + channel]);
      if (problem_.silu) d_c = d_c * silu_slope(before_activation(row, channel));
      d_bias.add(d_c);
      for (int64_t j = 0; j < taps; ++j) {
        const Place place = tap(row, j);
        if (place.kind == Place::kNothing) continue;
        d_weight[static_cast<std::size_t>(j)].add_product(d_c, Number(load(place, channel)));
        auto& target = place.kind == Place::kRow ? d_x : d_state;
        target[static_cast<std::size_t>(place.index)].add_product(weight(channel, j), d_c);
      }
    }
    for (std::size_t n = 0; d_final_state != nullptr && n < problem_.sequences.size(); ++n) {
      for (int64_t column = 0; column < taps - 1; ++column) {
        const int64_t place = state_place(static_cast<int64_t>(n), channel, column);
        const int64_t row = problem_.sequences[n].end - (taps - 1) + column;
        const int64_t missing = problem_.sequences[n].begin - row;
        if (missing <= 0) {
          d_x[static_cast<std::size_t>(row)].add(Number(d_final_state[place]));
        } else {
          d_state[n * static_cast<std::size_t>(taps - 1) +
                  static_cast<std::size_t>(taps - 1 - missing)]
              .add(Number(d_final_state[place]));
        }
      }
    }
    write(channel, d_x, d_weight, d_bias, d_state, gradients);
  }

 private:
  static constexpr int64_t kNoSequence = -1;

  /// What a tap reads.
  struct Place {
    enum Kind : uint8_t { kNothing, kRow, kState } kind = kNothing;

    int64_t index = 0;  ///< Row of x, or sequence * (W - 1) + column of the initial states.
  };

  bool defined(int64_t row) const {
    return problem_.seq_idx != nullptr ? problem_.seq_idx[row] >= 0
                                       : sequence_[static_cast<std::size_t>(row)] >= 0;
  }

  Place tap(int64_t row, int64_t j) const {
    const int64_t source = row - (problem_.width - 1) + j;
    const int64_t begin = begin_[static_cast<std::size_t>(row)];
    if (problem_.seq_idx != nullptr) {
      if (source >= 0 && problem_.seq_idx[source] == problem_.seq_idx[row]) {
        return {Place::kRow, source};
      }
    } else if (source >= begin) {
      return {Place::kRow, source};
    }
    if (problem_.initial_state == nullptr || begin == kNoSequence || source >= begin) return {};
    const int64_t column = problem_.width - 1 - (begin - source);
    if (column < 0) return {};
    return {Place::kState,
            sequence_[static_cast<std::size_t>(row)] * (problem_.width - 1) + column};
  }

  double load(const Place& place, int64_t channel) const {
    if (place.kind == Place::kRow) return problem_.x[place.index * problem_.channels + channel];
    const int64_t columns = problem_.width - 1;
    return problem_
        .initial_state[state_place(place.index / columns, channel, place.index % columns)];
  }

  int64_t state_place(int64_t n, int64_t channel, int64_t column) const {
    return (n * problem_.channels + channel) * (problem_.width - 1) + column;
  }

  Number weight(int64_t channel, int64_t j) const {
    return Number(problem_.weight[channel * problem_.width + j]);
  }

  Number before_activation(int64_t row, int64_t channel) const {
    Sum<Number> sum;
    if (problem_.bias != nullptr) sum.add(Number(problem_.bias[channel]));
    for (int64_t j = 0; j < problem_.width; ++j) {
      const Place place = tap(row, j);
      if (place.kind == Place::kNothing) continue;
      sum.add_product(weight(channel, j), Number(load(place, channel)));
    }
    return sum.total();
  }

  void write(int64_t channel, const std::vector<Sum<Number>>& d_x,
             const std::vector<Sum<Number>>& d_weight, const Sum<Number>& d_bias,
             const std::vector<Sum<Number>>& d_state, const ConvGradients& gradients) const {
    if (gradients.x != nullptr) {
      for (std::size_t row = 0; row < d_x.size(); ++row) {
        gradients.x[static_cast<int64_t>(row) * problem_.channels + channel] =
            outcome(d_x[row].total());
      }
    }
    if (gradients.weight != nullptr) {
      for (std::size_t j = 0; j < d_weight.size(); ++j) {
        gradients.weight[channel * problem_.width + static_cast<int64_t>(j)] =
            outcome(d_weight[j].total());
      }
    }
    if (gradients.bias != nullptr) gradients.bias[channel] = outcome(d_bias.total());
    if (gradients.initial_state != nullptr) {
      const int64_t columns = problem_.width - 1;
      for (std::size_t i = 0; i < d_state.size(); ++i) {
        const auto index = static_cast<int64_t>(i);
        gradients.initial_state[state_place(index / columns, channel, index % columns)] =
            outcome(d_state[i].total());
      }
    }
  }

  const ConvProblem& problem_;
  std::vector<int64_t> begin_;     ///< First row of the row's sequence.
  std::vector<int64_t> sequence_;  ///< -1: none.
};

}  // namespace packproof::reference
