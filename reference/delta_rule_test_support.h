#pragma once

#include "harness/core/random_stream.h"
#include "reference/delta_rule_problem.h"
#include "reference/ops.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

/// Random delta rule problems for tests; one seed gives one problem on any machine.
namespace packproof::reference::testing {

enum class Gates { kSlow, kMixedZeros, kStrong, kSpike, kDefaultInit };

inline const char* name_of(Gates gates) {
  switch (gates) {
    case Gates::kSlow:
      return "slow";
    case Gates::kMixedZeros:
      return "mixed zeros";
    case Gates::kStrong:
      return "strong";
    case Gates::kSpike:
      return "spike";
    case Gates::kDefaultInit:
      return "default init";
  }
  return "";
}

inline constexpr Gates kAllGates[] = {Gates::kSlow, Gates::kMixedZeros, Gates::kStrong,
                                      Gates::kSpike, Gates::kDefaultInit};

struct ProblemShape {
  std::vector<int64_t> lengths{5};
  int64_t key_heads = 1;
  int64_t value_heads = 2;
  int64_t key_dim = 8;
  int64_t value_dim = 8;
  bool qk_l2norm = true;
  bool initial_state = true;
  int64_t slack = 0;
};

/// Owns the arrays of a problem; values that float32 holds, so that both precisions start alike.
class RandomProblem {
 public:
  RandomProblem(const ProblemShape& shape, Gates gates, uint64_t seed)
      : random_(seed, "delta rule") {
    int64_t rows = 0;
    cu_seqlens_.push_back(0);
    for (const int64_t length : shape.lengths) {
      problem.sequences.push_back({rows, rows + length});
      rows += length;
      cu_seqlens_.push_back(rows);
    }
    rows += shape.slack;
    problem.num_rows = rows;
    problem.key_heads = shape.key_heads;
    problem.value_heads = shape.value_heads;
    problem.key_dim = shape.key_dim;
    problem.value_dim = shape.value_dim;
    problem.qk_l2norm = shape.qk_l2norm;
    problem.scale = 1.0 / std::sqrt(static_cast<double>(shape.key_dim));
    q = normal(rows * shape.key_heads * shape.key_dim, 1.0);
    k = normal(rows * shape.key_heads * shape.key_dim, 1.0);
    if (!shape.qk_l2norm) {  // Unit keys, as the rule expects them.
      for (std::vector<double>* x : {&q, &k}) {
        for (double& value : *x) value = rounded(value / std::sqrt(double(shape.key_dim)));
      }
    }
    v = normal(rows * shape.value_heads * shape.value_dim, 1.0);
    const int64_t gate_count = rows * shape.value_heads;
    for (int64_t i = 0; i < gate_count; ++i) {
      beta.push_back(rounded(1.0 / (1.0 + std::exp(-2.0 * gaussian()))));
      g.push_back(rounded(draw_gate(gates, i)));
    }
    states = normal(
        static_cast<int64_t>(shape.lengths.size()) * shape.value_heads * problem.state_size(), 0.5);
    d_output = normal(static_cast<int64_t>(v.size()), 1.0);
    d_final_state = normal(static_cast<int64_t>(states.size()), 0.5);
    problem.q = StoredValues(q.data());
    problem.k = StoredValues(k.data());
    problem.v = StoredValues(v.data());
    problem.g = g.data();
    problem.beta = beta.data();
    if (shape.initial_state) problem.initial_state = states.data();
  }

  RandomProblem(const RandomProblem&) = delete;

  at::Tensor keys(const std::vector<double>& x) const {
    return tensor(x, {1, problem.num_rows, problem.key_heads, problem.key_dim});
  }

  at::Tensor values(const std::vector<double>& x) const {
    return tensor(x, {1, problem.num_rows, problem.value_heads, problem.value_dim});
  }

  at::Tensor gates(const std::vector<double>& x) const {
    return tensor(x, {1, problem.num_rows, problem.value_heads});
  }

  at::Tensor state_tensor(const std::vector<double>& x) const {
    return tensor(x, {problem.num_seqs(), problem.value_heads, problem.key_dim, problem.value_dim});
  }

  const std::vector<int64_t>& cu_seqlens() const { return cu_seqlens_; }

  DeltaRuleProblem problem;
  std::vector<double> q, k, v, g, beta, states, d_output, d_final_state;

 private:
  static double rounded(double x) { return static_cast<float>(x); }

  static at::Tensor tensor(const std::vector<double>& x, std::vector<int64_t> shape) {
    return at::tensor(at::ArrayRef<double>(x), at::kDouble).view(shape);
  }

  double gaussian() { return random_.at(drawn_++).normal(); }

  double uniform() { return random_.at(drawn_++).uniform(); }

  std::vector<double> normal(int64_t count, double deviation) {
    std::vector<double> result;
    for (int64_t i = 0; i < count; ++i) result.push_back(rounded(deviation * gaussian()));
    return result;
  }

  double draw_gate(Gates gates, int64_t i) {
    switch (gates) {
      case Gates::kSlow:
        return -0.05 * uniform();
      case Gates::kMixedZeros:
        return uniform() < 0.3 ? 0.0 : -0.2 * uniform();
      case Gates::kStrong:
        return -5.0 - 25.0 * uniform();
      case Gates::kSpike:
        return i % 7 == 3 ? -100.0 : -0.05 * uniform();
      case Gates::kDefaultInit:
        return -16.0 * uniform() * std::log1p(std::exp(1.0 + gaussian()));
    }
    return 0.0;
  }

  RandomStream random_;
  int64_t drawn_ = 0;
  std::vector<int64_t> cu_seqlens_;
};

/// |a - b| / |b| as 2-norms; |a| when b is zero.
inline double relative_distance(const at::Tensor& a, const at::Tensor& b) {
  const double size = b.norm().item<double>();
  const double distance = (a - b).norm().item<double>();
  return size == 0.0 ? distance : distance / size;
}

/// Smallest and median of bound / error over elements that err at all, as a bound's test reports.
class BoundFactors {
 public:
  void add(double error, double bound) {
    if (error > bound) ++violations_;
    if (error > 0.0) factors_.push_back(bound / error);
  }

  int64_t violations() const { return violations_; }

  double smallest() {
    return factors_.empty() ? 0.0 : *std::min_element(factors_.begin(), factors_.end());
  }

  double median() {
    if (factors_.empty()) return 0.0;
    const auto middle = factors_.begin() + static_cast<std::ptrdiff_t>(factors_.size() / 2);
    std::nth_element(factors_.begin(), middle, factors_.end());
    return *middle;
  }

 private:
  std::vector<double> factors_;
  int64_t violations_ = 0;
};

}  // namespace packproof::reference::testing
