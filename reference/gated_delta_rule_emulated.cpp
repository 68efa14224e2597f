#include "reference/gated_delta_rule_emulated.h"

#include "reference/norm_formulas.h"
#include "reference/parallel.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace packproof::reference {
namespace {

constexpr double kL2NormEps = 1e-6;  // Spec 2.2.

std::vector<double> key_row(const DeltaRuleProblem& problem, const StoredValues& x, int64_t place,
                            Format format) {
  std::vector<double> row = x.row(place, problem.key_dim);
  if (problem.qk_l2norm) {
    L2NormFormula<double>{problem.key_dim, kL2NormEps}.forward(row.data(), row.data());
  }
  for (double& value : row) value = round_to(format, value);
  return row;
}

void emulate_head(const DeltaRuleProblem& p, int64_t n, int64_t head, double* output,
                  double* final_state, const DeltaRuleRounding& rounding) {
  const int64_t place = (n * p.value_heads + head) * p.state_size();
  std::vector<double> state(static_cast<std::size_t>(p.state_size()), 0.0);
  if (p.initial_state != nullptr) {
    std::copy_n(p.initial_state + place, p.state_size(), state.begin());
  }
  const RowSpan span = p.sequences[static_cast<std::size_t>(n)];
  for (int64_t row = span.begin; row < span.end; ++row) {
    const int64_t key = p.key_place(row, p.key_head(head));
    const int64_t gate = row * p.value_heads + head;
    const std::vector<double> q = key_row(p, p.q, key, rounding.normalised);
    const std::vector<double> k = key_row(p, p.k, key, rounding.normalised);
    const std::vector<double> v = p.v.row(p.value_place(row, head), p.value_dim);
    const double decay = round_to(rounding.gate, std::exp(p.g[gate]));
    for (double& value : state) value = round_to(rounding.operand, decay * value);
    for (int64_t j = 0; j < p.value_dim; ++j) {
      const auto element = [&](int64_t i) -> double& {
        return state[static_cast<std::size_t>(i * p.value_dim + j)];
      };
      double prediction = 0.0;
      for (int64_t i = 0; i < p.key_dim; ++i) {
        prediction += k[static_cast<std::size_t>(i)] * element(i);
      }
      prediction = round_to(rounding.operand, prediction);
      const double delta =
          round_to(rounding.operand, p.beta[gate] * (v[static_cast<std::size_t>(j)] - prediction));
      double sum = 0.0;
      for (int64_t i = 0; i < p.key_dim; ++i) {
        const auto at = static_cast<std::size_t>(i);
        element(i) = round_to(rounding.state, element(i) + k[at] * delta);
        sum += q[at] * element(i);
      }
      output[gate * p.value_dim + j] = round_to(rounding.output, p.scale * sum);
    }
  }
  if (final_state != nullptr) std::copy(state.begin(), state.end(), final_state + place);
}

}  // namespace

void gated_delta_rule_emulated(const DeltaRuleProblem& problem, double* output, double* final_state,
                               const DeltaRuleRounding& rounding) {
  run_parallel(problem.num_seqs() * problem.value_heads, 0, [&](int64_t task) {
    emulate_head(problem, task / problem.value_heads, task % problem.value_heads, output,
                 final_state, rounding);
  });
}

DeltaRuleRounding recurrent_rounding(Format dtype) {
  return {.normalised = Format::kFloat32,
          .gate = Format::kFloat32,
          .operand = Format::kFloat32,
          .state = Format::kFloat32,
          .output = dtype};
}

DeltaRuleRounding chunked_rounding(Format dtype) {
  const bool float32 = dtype == Format::kFloat32 || dtype == Format::kTf32;
  return {.normalised = float32 ? Format::kFloat32 : dtype,
          .gate = Format::kFloat32,
          .operand = float32 ? Format::kTf32 : dtype,
          .state = Format::kFloat32,
          .output = float32 ? Format::kFloat32 : dtype};
}

}  // namespace packproof::reference
