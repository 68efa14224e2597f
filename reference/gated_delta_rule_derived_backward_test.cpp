#include "reference/gated_delta_rule_derived_backward.h"

#include "reference/delta_rule_test_support.h"
#include "reference/float32_delta_rule_test_support.h"

#include <array>
#include <cstdio>
#include <functional>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

using testing::Gates;
using testing::ProblemShape;
using testing::RandomProblem;

/// Gradients as vectors, in the order of `kNames`.
struct Gradients {
  std::vector<double> q, k, v, g, beta, initial_state;

  explicit Gradients(const RandomProblem& random)
      : q(random.q.size()),
        k(random.k.size()),
        v(random.v.size()),
        g(random.g.size()),
        beta(random.beta.size()),
        initial_state(random.states.size()) {}

  DeltaRuleGradients places() {
    return {q.data(), k.data(), v.data(), g.data(), beta.data(), initial_state.data()};
  }

  std::array<const std::vector<double>*, 6> all() const {
    return {&q, &k, &v, &g, &beta, &initial_state};
  }
};

constexpr std::array kNames{"q", "k", "v", "g", "beta", "initial_state"};

Gradients derived(const RandomProblem& random, Gradients* bounds = nullptr) {
  Gradients result(random);
  const DeltaRuleGradients bound_places = bounds ? bounds->places() : DeltaRuleGradients{};
  gated_delta_rule_derived_backward(
      random.problem, {StoredValues(random.d_output.data()), random.d_final_state.data()},
      result.places(), bounds ? &bound_places : nullptr);
  return result;
}

TEST(GatedDeltaRuleDerivedBackward, AgreesWithAutomaticDifferentiation) {
  const ProblemShape shapes[] = {
      {{5, 1, 0, 37}, 2, 6, 16, 24, true, true, 3},
      {{40}, 1, 2, 5, 3, false, true, 0},
      {{1, 2, 3}, 1, 1, 4, 4, true, false, 0},
  };
  for (const ProblemShape& shape : shapes) {
    for (const Gates gates : testing::kAllGates) {
      const RandomProblem random(shape, gates, 5);
      std::array<at::Tensor, 6> leaves{
          random.keys(random.q),  random.keys(random.k),     random.values(random.v),
          random.gates(random.g), random.gates(random.beta), random.state_tensor(random.states)};
      for (at::Tensor& leaf : leaves) leaf.set_requires_grad(true);
      std::optional<at::Tensor> initial;
      if (shape.initial_state) initial = leaves[5];
      const DeltaResult result =
          recurrent_gated_delta_rule(leaves[0], leaves[1], leaves[2], leaves[3], leaves[4], initial,
                                     random.cu_seqlens(), 0.0, shape.qk_l2norm);
      ((result.output * random.values(random.d_output)).sum() +
       (result.final_state * random.state_tensor(random.d_final_state)).sum())
          .backward();
      const Gradients got = derived(random);
      for (std::size_t i = 0; i < kNames.size(); ++i) {
        if (!leaves[i].grad().defined()) continue;
        const at::Tensor values =
            at::tensor(at::ArrayRef<double>(*got.all()[i]), at::kDouble).view(leaves[i].sizes());
        // Both sum the same terms in double; strong gates leave gradients of g that are small
        // against their terms.
        EXPECT_LT(testing::relative_distance(values, leaves[i].grad()), 1e-11)
            << kNames[i] << ", " << name_of(gates);
      }
    }
  }
}

/// sum(output d_output) + sum(final state d_final_state) from spec 3.1 in long double.
long double objective(const DeltaRuleProblem& p, const std::vector<long double>& q,
                      const std::vector<long double>& k, const std::vector<long double>& v,
                      const std::vector<long double>& g, const std::vector<long double>& beta,
                      const std::vector<long double>& initial, const RandomProblem& random) {
  const auto at = [](const auto& values, int64_t i) {
    return static_cast<long double>(values[static_cast<std::size_t>(i)]);
  };
  const auto normalised = [&](const std::vector<long double>& x, int64_t row) {
    long double sum = 1e-6L;
    for (int64_t i = 0; i < p.key_dim; ++i) sum += at(x, row + i) * at(x, row + i);
    std::vector<long double> result;
    for (int64_t i = 0; i < p.key_dim; ++i) result.push_back(at(x, row + i) / std::sqrt(sum));
    return result;
  };
  long double total = 0.0L;
  for (int64_t n = 0; n < p.num_seqs(); ++n) {
    for (int64_t h = 0; h < p.value_heads; ++h) {
      const int64_t place = (n * p.value_heads + h) * p.state_size();
      std::vector<long double> S(initial.begin() + place, initial.begin() + place + p.state_size());
      const RowSpan span = p.sequences[static_cast<std::size_t>(n)];
      for (int64_t t = span.begin; t < span.end; ++t) {
        const auto kt = normalised(k, (t * p.key_heads + p.key_head(h)) * p.key_dim);
        const auto qt = normalised(q, (t * p.key_heads + p.key_head(h)) * p.key_dim);
        for (long double& s : S) s *= std::exp(at(g, t * p.value_heads + h));
        for (int64_t j = 0; j < p.value_dim; ++j) {
          const int64_t value = (t * p.value_heads + h) * p.value_dim + j;
          long double rho = 0.0L;
          for (int64_t i = 0; i < p.key_dim; ++i) rho += at(S, i * p.value_dim + j) * at(kt, i);
          const long double delta = at(beta, t * p.value_heads + h) * (at(v, value) - rho);
          long double o = 0.0L;
          for (int64_t i = 0; i < p.key_dim; ++i) {
            S[static_cast<std::size_t>(i * p.value_dim + j)] += at(kt, i) * delta;
            o += at(S, i * p.value_dim + j) * at(qt, i);
          }
          total += o * p.scale * at(random.d_output, value);
        }
      }
      for (int64_t i = 0; i < p.state_size(); ++i) {
        total += at(S, i) * at(random.d_final_state, place + i);
      }
    }
  }
  return total;
}

TEST(GatedDeltaRuleDerivedBackward, AgreesWithCentralDifferencesInLongDouble) {
  const RandomProblem random({{4, 2}, 1, 2, 3, 2, true, true, 0}, Gates::kSlow, 9);
  const Gradients got = derived(random);
  const std::array<const std::vector<double>*, 6> inputs{&random.q, &random.k,    &random.v,
                                                         &random.g, &random.beta, &random.states};
  std::array<std::vector<long double>, 6> values;
  for (std::size_t i = 0; i < inputs.size(); ++i)
    values[i] = {inputs[i]->begin(), inputs[i]->end()};
  // Truncation h^2 / 6 times a third derivative of order 10, and rounding 1e-19 / h: 1e-11 at 1e-6.
  constexpr long double kStep = 1e-6L;
  for (std::size_t i = 0; i < values.size(); ++i) {
    for (std::size_t element = 0; element < values[i].size(); ++element) {
      const auto shifted = [&](long double step) {
        auto moved = values;
        moved[i][element] += step;
        return objective(random.problem, moved[0], moved[1], moved[2], moved[3], moved[4], moved[5],
                         random);
      };
      const auto expected =
          static_cast<double>((shifted(kStep) - shifted(-kStep)) / (2.0L * kStep));
      EXPECT_NEAR((*got.all()[i])[element], expected, 1e-10) << kNames[i] << " " << element;
    }
  }
}

/// Errors of float32 loops against the bounds of one problem.
void compare(const RandomProblem& random, testing::Order order,
             std::array<testing::BoundFactors, 6>& factors) {
  const DeltaRuleProblem& p = random.problem;
  Gradients bounds(random);
  const Gradients expected = derived(random, &bounds);
  Gradients got(random);
  for (int64_t n = 0; n < p.num_seqs(); ++n) {
    for (int64_t h = 0; h < p.value_heads; ++h) {
      const RowSpan span = p.sequences[static_cast<std::size_t>(n)];
      const int64_t state = (n * p.value_heads + h) * p.state_size();
      const auto float32 =
          testing::Float32DeltaRule(p, n, h, order)
              .backward(random.d_output.data(), random.d_final_state.data() + state);
      for (int64_t row = span.begin; row < span.end; ++row) {
        const auto t = static_cast<std::size_t>(span.end - 1 - row);
        const auto gate = static_cast<std::size_t>(row * p.value_heads + h);
        got.g[gate] = float32.g[t];
        got.beta[gate] = float32.beta[t];
        for (int64_t i = 0; i < p.key_dim; ++i) {
          const auto place =
              static_cast<std::size_t>((row * p.key_heads + p.key_head(h)) * p.key_dim + i);
          const auto element = static_cast<std::size_t>(i);
          got.q[place] = static_cast<float>(got.q[place]) + float32.q[t][element];
          got.k[place] = static_cast<float>(got.k[place]) + float32.k[t][element];
        }
        for (int64_t j = 0; j < p.value_dim; ++j) {
          got.v[gate * static_cast<std::size_t>(p.value_dim) + static_cast<std::size_t>(j)] =
              float32.v[t][static_cast<std::size_t>(j)];
        }
      }
      for (int64_t i = 0; i < p.state_size(); ++i) {
        got.initial_state[static_cast<std::size_t>(state + i)] =
            float32.initial_state[static_cast<std::size_t>(i)];
      }
    }
  }
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    for (std::size_t e = 0; e < got.all()[i]->size(); ++e) {
      factors[i].add(std::abs((*got.all()[i])[e] - (*expected.all()[i])[e]), (*bounds.all()[i])[e]);
    }
  }
}

TEST(DeltaRuleGradientBounds, CoverFloat32LoopsInAnyOrder) {
  const ProblemShape shapes[] = {
      {{1, 3, 40}, 1, 2, 16, 16, true, true, 0},
      {{70}, 1, 1, 32, 8, false, true, 0},
      {{1, 1, 2}, 2, 4, 4, 4, true, false, 0},
  };
  for (const Gates gates : testing::kAllGates) {
    std::array<testing::BoundFactors, 6> factors;
    for (const ProblemShape& shape : shapes) {
      const RandomProblem random(shape, gates, 21);
      for (const testing::Order order : testing::kAllOrders) compare(random, order, factors);
    }
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      EXPECT_EQ(factors[i].violations(), 0) << kNames[i] << ", " << name_of(gates);
      EXPECT_LT(factors[i].median(), 1e6) << kNames[i] << ", " << name_of(gates);
      std::printf("bound / error, d_%s, %s: min %.3g median %.3g\n", kNames[i], name_of(gates),
                  factors[i].smallest(), factors[i].median());
    }
  }
}

}  // namespace
}  // namespace packproof::reference
