#include "reference/gated_delta_rule_fast.h"

#include "reference/delta_rule_bounds.h"
#include "reference/delta_rule_test_support.h"
#include "reference/float32_delta_rule_test_support.h"

#include <cstdio>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

using testing::Gates;
using testing::ProblemShape;
using testing::RandomProblem;

struct Values {
  at::Tensor output;
  at::Tensor final_state;
};

Values fast(const RandomProblem& random, const FastOptions& options = {}) {
  Values values{at::zeros_like(random.values(random.v)),
                at::zeros_like(random.state_tensor(random.states))};
  gated_delta_rule_fast(random.problem,
                        {values.output.data_ptr<double>(), values.final_state.data_ptr<double>()},
                        nullptr, options);
  return values;
}

Values definition(const RandomProblem& random) {
  std::optional<at::Tensor> initial;
  if (random.problem.initial_state != nullptr) initial = random.state_tensor(random.states);
  const DeltaResult result = recurrent_gated_delta_rule(
      random.keys(random.q), random.keys(random.k), random.values(random.v), random.gates(random.g),
      random.gates(random.beta), initial, random.cu_seqlens(), 0.0, random.problem.qk_l2norm);
  return {result.output, result.final_state};
}

// The two differ in the order of at most K roundings per sum of a contraction: 1e-13 leaves room
// for 400 of them.
constexpr double kRoundings = 1e-13;

const ProblemShape kShapes[] = {
    {{5, 1, 0, 70}, 2, 6, 16, 24, true, true, 3},
    {{0, 3}, 1, 1, 4, 1, true, false, 0},
    {{130}, 1, 2, 33, 17, false, true, 0},
    {{1, 1, 1}, 4, 4, 8, 40, true, true, 1},
};

TEST(GatedDeltaRuleFast, AgreesWithTheDefinition) {
  for (const ProblemShape& shape : kShapes) {
    for (const Gates gates : testing::kAllGates) {
      const RandomProblem random(shape, gates, 7);
      const Values expected = definition(random);
      const Values got = fast(random);
      EXPECT_LT(testing::relative_distance(got.output, expected.output), kRoundings)
          << name_of(gates);
      EXPECT_LT(testing::relative_distance(got.final_state, expected.final_state), kRoundings)
          << name_of(gates);
    }
  }
}

TEST(GatedDeltaRuleFast, InstructionSetsAgree) {
  if (!cpu_has_avx2()) GTEST_SKIP() << "this CPU has no AVX2 and FMA";
  for (const ProblemShape& shape : kShapes) {
    const RandomProblem random(shape, Gates::kSlow, 11);
    const Values baseline = fast(random, {InstructionSet::kBaseline, 1});
    const Values avx2 = fast(random, {InstructionSet::kAvx2, 1});
    EXPECT_LT(testing::relative_distance(avx2.output, baseline.output), kRoundings);
    EXPECT_LT(testing::relative_distance(avx2.final_state, baseline.final_state), kRoundings);
  }
}

TEST(GatedDeltaRuleFast, GivesTheSameBitsAloneAndOnAnyNumberOfThreads) {
  const RandomProblem packed({{5, 70, 9}, 1, 2, 16, 40, true, true, 0}, Gates::kSlow, 3);
  const Values once = fast(packed, {InstructionSet::kBest, 1});
  EXPECT_TRUE(at::equal(once.output, fast(packed, {InstructionSet::kBest, 5}).output));

  DeltaRuleProblem alone = packed.problem;
  alone.sequences = {packed.problem.sequences[1]};
  alone.initial_state += 2 * packed.problem.state_size();
  at::Tensor output = at::zeros_like(once.output);
  gated_delta_rule_fast(alone, {output.data_ptr<double>(), nullptr});
  EXPECT_TRUE(at::equal(output.slice(1, 5, 75), once.output.slice(1, 5, 75)));
  EXPECT_EQ(output.slice(1, 0, 5).abs().max().item<double>(), 0.0);
}

/// Errors of float32 loops against the bounds, elements of outputs and final states.
void compare(const RandomProblem& random, testing::BoundFactors& outputs,
             testing::BoundFactors& finals) {
  const DeltaRuleProblem& p = random.problem;
  std::vector<double> output(random.v.size()), output_bound(random.v.size());
  std::vector<double> state(random.states.size()), state_bound(random.states.size());
  DeltaRuleErrors errors;
  errors.output = output_bound.data();
  errors.final_state = state_bound.data();
  errors.steps = [&](int64_t head, RowSpan rows, std::vector<ErrorStep>& steps) {
    forward_error_steps(p, nullptr, head, rows, steps);
  };
  gated_delta_rule_fast(p, {output.data(), state.data()}, &errors);
  for (const testing::Order order : testing::kAllOrders) {
    for (int64_t n = 0; n < p.num_seqs(); ++n) {
      for (int64_t h = 0; h < p.value_heads; ++h) {
        const testing::Float32DeltaRule got(p, n, h, order);
        const RowSpan span = p.sequences[static_cast<std::size_t>(n)];
        for (int64_t t = 0; t < span.length(); ++t) {
          for (int64_t j = 0; j < p.value_dim; ++j) {
            const auto place =
                static_cast<std::size_t>(((span.begin + t) * p.value_heads + h) * p.value_dim + j);
            const double value =
                got.outputs[static_cast<std::size_t>(t)][static_cast<std::size_t>(j)];
            outputs.add(std::abs(value - output[place]), output_bound[place]);
          }
        }
        for (int64_t i = 0; i < p.state_size(); ++i) {
          const auto place = static_cast<std::size_t>((n * p.value_heads + h) * p.state_size() + i);
          const double value = got.states.back()[static_cast<std::size_t>(i)];
          finals.add(std::abs(value - state[place]), state_bound[place]);
        }
      }
    }
  }
}

TEST(DeltaRuleBounds, CoverFloat32LoopsInAnyOrder) {
  const ProblemShape shapes[] = {
      {{1, 3, 70}, 1, 2, 16, 16, true, true, 0},
      {{200}, 1, 1, 64, 8, false, true, 0},
      {{1, 1, 1, 1, 2}, 2, 4, 4, 4, true, false, 0},
  };
  for (const Gates gates : testing::kAllGates) {
    testing::BoundFactors outputs, finals;
    for (const ProblemShape& shape : shapes) {
      for (uint64_t seed = 0; seed < 3; ++seed) {
        compare(RandomProblem(shape, gates, seed), outputs, finals);
      }
    }
    EXPECT_EQ(outputs.violations(), 0) << name_of(gates);
    EXPECT_EQ(finals.violations(), 0) << name_of(gates);
    // A bound that accepts anything would be no bound: half of all elements use more than 1e-5 of it.
    EXPECT_LT(outputs.median(), 1e5);
    EXPECT_LT(finals.median(), 1e5);
    std::printf(
        "bound / error, %s: output min %.3g median %.3g, final state min %.3g median %.3g\n",
        name_of(gates), outputs.smallest(), outputs.median(), finals.smallest(), finals.median());
  }
}

}  // namespace
}  // namespace packproof::reference
