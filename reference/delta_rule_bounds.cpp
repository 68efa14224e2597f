#include "reference/delta_rule_bounds.h"

#include "reference/float32_error.h"

#include <algorithm>
#include <cmath>

namespace packproof::reference {
namespace {

constexpr double kUnit = kFloat32Unit;
constexpr double kFlush = kFloat32Flush;

/// 2-norm of a q or k row as the recurrence uses it.
double norm_of(const std::vector<double>& row, bool normalised) {
  double sum = 0.0;
  for (const double value : row) sum += value * value;
  return normalised ? std::sqrt(sum / (sum + 1e-6)) : std::sqrt(sum);
}

}  // namespace

double l2norm_units(int64_t key_dim) {
  // Sum of squares, eps and its sum, halved by the root; the root itself; the product.
  return 0.5 * (summation_units(key_dim + 1) + 2.0) + kFunctionUnits + 1.0;
}

double decay_error(double g, double g_error) {
  return std::expm1(g_error) + kUnit * (kFunctionUnits + 2.0 * std::fabs(g));
}

void forward_error_steps(const DeltaRuleProblem& problem, const double* g_error, int64_t value_head,
                         RowSpan rows, std::vector<ErrorStep>& steps) {
  const int64_t key_dim = problem.key_dim;
  const double normalisation = problem.qk_l2norm ? kUnit * l2norm_units(key_dim) : 0.0;
  const double dot = kUnit * summation_units(key_dim + 1);
  const double root = std::sqrt(static_cast<double>(key_dim));
  std::vector<double> row(static_cast<std::size_t>(key_dim));
  const auto key_norm = [&](const StoredValues& x, int64_t t) {
    x.read(problem.key_place(t, problem.key_head(value_head)), key_dim, row.data());
    return norm_of(row, problem.qk_l2norm);
  };
  steps.resize(static_cast<std::size_t>(rows.length()));
  for (int64_t t = rows.begin; t < rows.end; ++t) {
    const int64_t gate = t * problem.value_heads + value_head;
    const double k = key_norm(problem.k, t);
    const double q = key_norm(problem.q, t);
    const double beta = std::fabs(problem.beta[gate]);
    const double alpha = std::exp(problem.g[gate]);
    const double alpha_error =
        decay_error(problem.g[gate], g_error == nullptr ? 0.0 : g_error[gate]);

    // Norm of I - beta k k^T: 1 across k, |1 - beta |k|^2| along it.
    const double contraction = std::max(1.0, std::fabs(1.0 - problem.beta[gate] * k * k));
    const double decayed = contraction * (alpha * (alpha_error + kUnit) + kFlush);
    const double predicted = alpha * beta * k * k * (normalisation + dot);
    const double corrected = 3.0 * kUnit + normalisation;

    ErrorStep& step = steps[static_cast<std::size_t>(t - rows.begin)];
    step.before = decayed + predicted;
    step.correction = corrected * k;
    step.after = kUnit;
    step.keep =
        alpha * contraction * (1.0 + kUnit) + step.before + corrected * alpha * beta * k * k;
    step.floor = kFlush * (2.0 * root + (static_cast<double>(key_dim) + 2.0) * (1.0 + beta * k));

    const double read = normalisation + dot + 2.0 * kUnit;
    step.output = std::fabs(problem.scale) * q * (1.0 + read);
    step.read = read;
    step.output_floor = kFlush * static_cast<double>(key_dim) * (1.0 + std::fabs(problem.scale));
  }
}

std::vector<double> chunked_g_error(const DeltaRuleProblem& problem, const double* g_error,
                                    int64_t chunk_size) {
  std::vector<double> result(static_cast<std::size_t>(problem.num_rows * problem.value_heads), 0.0);
  for (const RowSpan& span : problem.sequences) {
    for (int64_t h = 0; h < problem.value_heads; ++h) {
      double gamma = 0.0;
      double given = 0.0;
      for (int64_t t = span.begin; t < span.end; ++t) {
        const int64_t in_chunk = (t - span.begin) % chunk_size;
        if (in_chunk == 0) gamma = given = 0.0;
        const int64_t place = t * problem.value_heads + h;
        gamma += std::fabs(problem.g[place]);
        given += g_error == nullptr ? 0.0 : g_error[place];
        // Both running sums of a difference, its own rounding, and the errors that g brings.
        const double units = 2.0 * summation_units(in_chunk + 1) + 2.0;
        result[static_cast<std::size_t>(place)] = 2.0 * given + kUnit * units * gamma;
      }
    }
  }
  return result;
}

double chunked_g_gradient_units(const DeltaRuleProblem& problem, int64_t chunk_size) {
  // A term is a product of dots over K and V with a row of A; then the sum over the chunk.
  return summation_units(problem.key_dim + 1) + summation_units(problem.value_dim + 1) +
         2.0 * summation_units(chunk_size + 1) + 2.0 * l2norm_units(problem.key_dim);
}

}  // namespace packproof::reference
