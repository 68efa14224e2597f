#pragma once

#include "reference/delta_rule_problem.h"

#include <cmath>
#include <cstdint>
#include <vector>

/// The delta rule in plain float32 loops, the evaluation that bounds have to cover.
namespace packproof::reference::testing {

enum class Order { kForward, kBackward, kPairwise, kFused };

inline constexpr Order kAllOrders[] = {Order::kForward, Order::kBackward, Order::kPairwise,
                                       Order::kFused};

/// Sum of count products in one of the orders; `a` and `b` give factor i.
template <typename A, typename B>
float dot(Order order, int64_t begin, int64_t end, const A& a, const B& b) {
  float sum = 0.0f;
  switch (order) {
    case Order::kForward:
      for (int64_t i = begin; i < end; ++i) sum += a(i) * b(i);
      return sum;
    case Order::kBackward:
      for (int64_t i = end; i-- > begin;) sum += a(i) * b(i);
      return sum;
    case Order::kFused:
      for (int64_t i = begin; i < end; ++i) sum = std::fmaf(a(i), b(i), sum);
      return sum;
    case Order::kPairwise:
      if (end - begin == 1) return a(begin) * b(begin);
      if (end > begin) {
        const int64_t middle = begin + (end - begin) / 2;
        return dot(order, begin, middle, a, b) + dot(order, middle, end, a, b);
      }
      return sum;
  }
  return sum;
}

/// One sequence and value head of the rule and its gradients (spec 3.1, 3.3, 3.5) in float32.
class Float32DeltaRule {
 public:
  Float32DeltaRule(const DeltaRuleProblem& problem, int64_t n, int64_t head, Order order)
      : p_(problem),
        span_(problem.sequences[static_cast<std::size_t>(n)]),
        head_(head),
        order_(order),
        scale_(static_cast<float>(problem.scale)) {
    std::vector<float> state(static_cast<std::size_t>(p_.state_size()), 0.0f);
    for (int64_t i = 0; p_.initial_state != nullptr && i < p_.state_size(); ++i) {
      state[static_cast<std::size_t>(i)] =
          static_cast<float>(p_.initial_state[(n * p_.value_heads + head) * p_.state_size() + i]);
    }
    states.push_back(state);
    for (int64_t row = span_.begin; row < span_.end; ++row) forward(row);
  }

  std::vector<std::vector<float>> states;   ///< Before the first token and after every one.
  std::vector<std::vector<float>> outputs;  ///< Per token [V].
  std::vector<std::vector<float>> residuals;

  /// Gradients per token, last token first.
  struct Gradients {
    std::vector<std::vector<float>> q, k, v;
    std::vector<float> g, beta;
    std::vector<float> initial_state;
  };

  Gradients backward(const double* d_output, const double* d_final_state) const {
    const int64_t K = p_.key_dim;
    const int64_t V = p_.value_dim;
    std::vector<float> G(static_cast<std::size_t>(K * V));
    for (int64_t i = 0; i < K * V; ++i) G[index(i)] = static_cast<float>(d_final_state[i]);
    Gradients result;
    for (int64_t row = span_.end; row-- > span_.begin;) {
      const auto t = static_cast<std::size_t>(row - span_.begin);
      const std::vector<float> q = key(p_.q, row);
      const std::vector<float> k = key(p_.k, row);
      const std::vector<float>& after = states[t + 1];
      const std::vector<float>& before = states[t];
      const float alpha = std::exp(static_cast<float>(p_.g[gate(row)]));
      const auto beta = static_cast<float>(p_.beta[gate(row)]);
      const auto d_o = [&](int64_t j) {
        return static_cast<float>(d_output[(row * p_.value_heads + head_) * V + j]);
      };
      for (int64_t i = 0; i < K; ++i) {
        for (int64_t j = 0; j < V; ++j) G[index(i * V + j)] += scale_ * q[index(i)] * d_o(j);
      }
      std::vector<float> e, d_v, d_q, d_k;
      for (int64_t j = 0; j < V; ++j) {
        e.push_back(dot(
            order_, 0, K, [&](int64_t i) { return G[index(i * V + j)]; },
            [&](int64_t i) { return k[index(i)]; }));
        d_v.push_back(beta * e.back());
      }
      const std::vector<float>& r = residuals[t];
      for (int64_t i = 0; i < K; ++i) {
        d_q.push_back(scale_ *
                      dot(
                          order_, 0, V, [&](int64_t j) { return after[index(i * V + j)]; }, d_o));
        const float g_delta = dot(
            order_, 0, V, [&](int64_t j) { return G[index(i * V + j)]; },
            [&](int64_t j) { return beta * r[index(j)]; });
        const float s_dv = dot(
            order_, 0, V, [&](int64_t j) { return alpha * before[index(i * V + j)]; },
            [&](int64_t j) { return d_v[index(j)]; });
        d_k.push_back(g_delta - s_dv);
      }
      result.beta.push_back(dot(
          order_, 0, V, [&](int64_t j) { return e[index(j)]; },
          [&](int64_t j) { return r[index(j)]; }));
      for (int64_t i = 0; i < K; ++i) {
        for (int64_t j = 0; j < V; ++j) G[index(i * V + j)] -= k[index(i)] * d_v[index(j)];
      }
      result.g.push_back(dot(
          order_, 0, K * V, [&](int64_t i) { return G[index(i)]; },
          [&](int64_t i) { return alpha * before[index(i)]; }));
      for (float& value : G) value *= alpha;
      result.q.push_back(through_norm(p_.q, row, d_q));
      result.k.push_back(through_norm(p_.k, row, d_k));
      result.v.push_back(d_v);
    }
    result.initial_state = G;
    return result;
  }

 private:
  static std::size_t index(int64_t i) { return static_cast<std::size_t>(i); }

  int64_t gate(int64_t row) const { return row * p_.value_heads + head_; }

  std::vector<double> given_key(const StoredValues& x, int64_t row) const {
    return x.row(p_.key_place(row, p_.key_head(head_)), p_.key_dim);
  }

  float inverse_norm(const StoredValues& x, int64_t row) const {
    const std::vector<double> given = given_key(x, row);
    const auto value = [&](int64_t i) { return static_cast<float>(given[index(i)]); };
    return 1.0f / std::sqrt(dot(order_, 0, p_.key_dim, value, value) + 1e-6f);
  }

  std::vector<float> key(const StoredValues& x, int64_t row) const {
    const float factor = p_.qk_l2norm ? inverse_norm(x, row) : 1.0f;
    std::vector<float> result;
    for (const double given : given_key(x, row)) {
      result.push_back(static_cast<float>(given) * factor);
    }
    return result;
  }

  std::vector<float> through_norm(const StoredValues& x, int64_t row,
                                  const std::vector<float>& d) const {
    if (!p_.qk_l2norm) return d;
    const float r = inverse_norm(x, row);
    const std::vector<float> y = key(x, row);
    const float along = dot(
        order_, 0, p_.key_dim, [&](int64_t i) { return y[index(i)]; },
        [&](int64_t i) { return d[index(i)]; });
    std::vector<float> result;
    for (std::size_t i = 0; i < d.size(); ++i) result.push_back(r * (d[i] - y[i] * along));
    return result;
  }

  void forward(int64_t row) {
    const int64_t K = p_.key_dim;
    const int64_t V = p_.value_dim;
    const std::vector<float> q = key(p_.q, row);
    const std::vector<float> k = key(p_.k, row);
    const std::vector<double> values = p_.v.row(p_.value_place(row, head_), V);
    const float alpha = std::exp(static_cast<float>(p_.g[gate(row)]));
    const auto beta = static_cast<float>(p_.beta[gate(row)]);
    std::vector<float> state = states.back();
    std::vector<float> output, residual;
    for (int64_t j = 0; j < V; ++j) {
      const auto column = [&](int64_t i) { return state[index(i * V + j)]; };
      for (int64_t i = 0; i < K; ++i) state[index(i * V + j)] *= alpha;
      const float rho = dot(
          order_, 0, K, [&](int64_t i) { return k[index(i)]; }, column);
      const auto v = static_cast<float>(values[index(j)]);
      residual.push_back(v - rho);
      const float delta = beta * (v - rho);
      for (int64_t i = 0; i < K; ++i) state[index(i * V + j)] += k[index(i)] * delta;
      output.push_back(scale_ * dot(
                                    order_, 0, K, [&](int64_t i) { return q[index(i)]; }, column));
    }
    states.push_back(state);
    outputs.push_back(output);
    residuals.push_back(residual);
  }

  const DeltaRuleProblem& p_;
  RowSpan span_;
  int64_t head_;
  Order order_;
  float scale_;
};

}  // namespace packproof::reference::testing
