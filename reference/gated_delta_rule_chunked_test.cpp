#include "reference/gated_delta_rule_chunked.h"

#include "reference/delta_rule_test_support.h"
#include "reference/evaluate.h"
#include "reference/gated_delta_rule_emulated.h"
#include "reference/gated_delta_rule_fast.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

using testing::Gates;
using testing::ProblemShape;
using testing::RandomProblem;

double distance(const std::vector<double>& a, const std::vector<double>& b) {
  double difference = 0.0;
  double size = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  return size == 0.0 ? std::sqrt(difference) : std::sqrt(difference / size);
}

struct Forward {
  std::vector<double> output;
  std::vector<double> final_state;

  explicit Forward(const RandomProblem& random)
      : output(random.v.size()), final_state(random.states.size()) {}
};

Forward recurrent(const RandomProblem& random) {
  Forward result(random);
  gated_delta_rule_fast(random.problem, {result.output.data(), result.final_state.data()});
  return result;
}

Forward chunked(const RandomProblem& random, int64_t chunk_size,
                const DeltaRuleRounding& rounding = {}) {
  Forward result(random);
  gated_delta_rule_chunked(random.problem, chunk_size, result.output.data(),
                           result.final_state.data(), rounding);
  return result;
}

const ProblemShape kShapes[] = {
    {{5, 1, 0, 70}, 2, 6, 16, 24, true, true, 2},
    {{130}, 1, 1, 32, 8, false, true, 0},
    {{64, 65, 63, 1}, 1, 2, 8, 8, true, false, 0},
};

constexpr int64_t kChunkSizes[] = {1, 4, 16, 64, 200};

// The bar of issue and specification for double precision; observed about 1e-15.
constexpr double kBar = 1e-12;

TEST(GatedDeltaRuleChunked, AgreesWithTheRecurrence) {
  for (const ProblemShape& shape : kShapes) {
    for (const Gates gates : testing::kAllGates) {
      const RandomProblem random(shape, gates, 31);
      const Forward expected = recurrent(random);
      for (const int64_t chunk_size : kChunkSizes) {
        const Forward got = chunked(random, chunk_size);
        EXPECT_LT(distance(got.output, expected.output), kBar) << name_of(gates) << chunk_size;
        EXPECT_LT(distance(got.final_state, expected.final_state), kBar)
            << name_of(gates) << chunk_size;
      }
    }
  }
}

TEST(GatedDeltaRuleChunked, GradientsAgreeWithTheRecurrentOnes) {
  constexpr std::array names{"q", "k", "v", "g", "beta", "initial_state"};
  for (const ProblemShape& shape : kShapes) {
    for (const Gates gates : testing::kAllGates) {
      const RandomProblem random(shape, gates, 32);
      const DeltaRuleCotangents cotangents{StoredValues(random.d_output.data()),
                                           random.d_final_state.data()};
      const auto empty = [&] {
        return std::array<std::vector<double>, 6>{
            std::vector<double>(random.q.size()),    std::vector<double>(random.k.size()),
            std::vector<double>(random.v.size()),    std::vector<double>(random.g.size()),
            std::vector<double>(random.beta.size()), std::vector<double>(random.states.size())};
      };
      const auto places = [](std::array<std::vector<double>, 6>& d) {
        return DeltaRuleGradients{d[0].data(), d[1].data(), d[2].data(),
                                  d[3].data(), d[4].data(), d[5].data()};
      };
      auto expected = empty();
      gated_delta_rule_derived_backward(random.problem, cotangents, places(expected));
      for (const int64_t chunk_size : kChunkSizes) {
        auto got = empty();
        gated_delta_rule_chunked_backward(random.problem, chunk_size, cotangents, places(got));
        for (std::size_t i = 0; i < names.size(); ++i) {
          EXPECT_LT(distance(got[i], expected[i]), kBar)
              << names[i] << ", " << name_of(gates) << ", chunks of " << chunk_size;
        }
      }
    }
  }
}

TEST(GatedDeltaRuleChunked, GivesTheGoldenVector) {  // spec 3.6
  const std::vector<double> q{0.6, -0.8, 1, 0, 0, 1}, k{0.8, 0.6, -0.6, 0.8, 0.28, 0.96};
  const std::vector<double> v{1, -2, 0.5}, g{-0.1, -0.7, -0.25}, beta{0.9, 0.4, 0.75};
  const std::vector<double> state{0.5, -0.25}, d_output{1, -0.5, 2}, d_state{0.3, -0.2};
  DeltaRuleProblem problem;
  problem.q = StoredValues(q.data());
  problem.k = StoredValues(k.data());
  problem.v = StoredValues(v.data());
  problem.g = g.data();
  problem.beta = beta.data();
  problem.initial_state = state.data();
  problem.num_rows = 3;
  problem.key_heads = problem.value_heads = problem.value_dim = 1;
  problem.key_dim = 2;
  problem.sequences = {{0, 3}};
  problem.scale = std::sqrt(0.5);
  problem.qk_l2norm = false;
  std::vector<double> output(3), final_state(2), d_q(6), d_k(6), d_v(3), d_g(3), d_beta(3), d_s(2);
  gated_delta_rule_chunked(problem, 2, output.data(), final_state.data());
  gated_delta_rule_chunked_backward(
      problem, 2, {StoredValues(d_output.data()), d_state.data()},
      {d_q.data(), d_k.data(), d_v.data(), d_g.data(), d_beta.data(), d_s.data()});
  const auto expect = [](const std::vector<double>& got, const std::vector<double>& expected) {
    for (std::size_t i = 0; i < got.size(); ++i) {
      // Half of the last printed decimal and a few roundings of values below 2.
      EXPECT_NEAR(got[i], expected[i], 0.5e-15 + 8 * 2.3e-16);
    }
  };
  expect(output, {0.319908337082277, 0.655775928210617, 0.071171351623226});
  expect(final_state, {0.859051247141158, 0.100651490717991});
  expect(d_q, {0.713858218186971, 0.135508242287382, -0.327887964105308, 0.167210584547570,
               1.214881924480548, 0.142342703246452});
  expect(d_k, {0.238469542985959, -0.363840707545205, 0.151982161759025, -0.188782858253912,
               -0.530375381020753, 0.938378168561813});
  expect(d_v, {-0.050273430797802, 0.156200495175080, 0.937233764908629});
  expect(d_g, {0.266005690915818, -0.104176076964261, -0.088689103209113});
  expect(d_beta, {-0.043223456075643, -0.693270717510881, 0.813969878391896});
  expect(d_s, {0.316679646803488, -0.430663470056297});
}

TEST(Rounding, Tf32KeepsElevenSignificantBits) {
  EXPECT_EQ(round_to(Format::kTf32, 1.0 + 0x1p-10), 1.0 + 0x1p-10);
  EXPECT_EQ(round_to(Format::kTf32, 1.0 + 0x1p-11), 1.0);             // a tie goes to even
  EXPECT_EQ(round_to(Format::kTf32, 1.0 + 0x1.8p-10), 1.0 + 0x1p-9);  // and here upwards
  EXPECT_EQ(round_to(Format::kTf32, -(1.0 + 0x1.8p-11)), -(1.0 + 0x1p-10));
  EXPECT_EQ(round_to(Format::kTf32, 0x1p-133), 0x1p-133);
  EXPECT_EQ(round_to(Format::kTf32, 0x1.001p-130), 0x1p-130);
  EXPECT_TRUE(std::isinf(round_to(Format::kTf32, 1e39)));
}

TEST(GatedDeltaRuleEmulated, IsTheRuleWhenNothingIsRounded) {
  const RandomProblem random(kShapes[0], Gates::kSlow, 4);
  Forward got(random);
  gated_delta_rule_emulated(random.problem, got.output.data(), got.final_state.data(), {});
  const Forward expected = recurrent(random);
  EXPECT_LT(distance(got.output, expected.output), 1e-14);
  EXPECT_LT(distance(got.final_state, expected.final_state), 1e-14);
}

TEST(GatedDeltaRuleEmulated, ErrsLikeItsFormat) {
  struct Row {
    const char* name;
    Format format;
    double unit;
  };

  constexpr Row rows[] = {{"bf16", Format::kBFloat16, 0x1p-8},
                          {"f16", Format::kFloat16, 0x1p-11},
                          {"tf32", Format::kTf32, 0x1p-11}};
  const RandomProblem random({{300}, 1, 2, 32, 32, true, true, 0}, Gates::kSlow, 4);
  const Forward expected = recurrent(random);
  for (const Row& row : rows) {
    Forward once(random);
    gated_delta_rule_emulated(random.problem, once.output.data(), once.final_state.data(),
                              recurrent_rounding(row.format));
    const Forward many = chunked(random, 64, chunked_rounding(row.format));
    const double recurrent_error = distance(once.output, expected.output) / row.unit;
    const double chunked_error = distance(many.output, expected.output) / row.unit;
    std::printf("%s: recurrent %.3g, chunked %.3g units\n", row.name, recurrent_error,
                chunked_error);
    // One rounding at the end is uniform in half a unit: a root mean square of 0.29 units of values
    // in [1, 2), 0.58 at most.
    EXPECT_GT(recurrent_error, 0.2);
    EXPECT_LT(recurrent_error, 0.6);
    // Roundings of several factors meet in one output: clearly above the lone one's, and not more
    // than the ten or so named points could add up to.
    EXPECT_GT(chunked_error, 1.5 * recurrent_error);
    EXPECT_LT(chunked_error, 10.0);
  }
}

TEST(GatedDeltaRuleEmulated, GradientsErrLikeTheirFormat) {
  constexpr std::array names{"q", "k", "v", "g", "beta", "initial_state"};
  const RandomProblem random({{70, 0, 130}, 1, 2, 32, 32, true, true, 0}, Gates::kSlow, 4);
  const DeltaRuleCotangents cotangents{StoredValues(random.d_output.data()),
                                       random.d_final_state.data()};
  const auto gradients = [&](const DeltaRuleRounding& rounding) {
    std::array<std::vector<double>, 6> d{
        std::vector<double>(random.q.size()),    std::vector<double>(random.k.size()),
        std::vector<double>(random.v.size()),    std::vector<double>(random.g.size()),
        std::vector<double>(random.beta.size()), std::vector<double>(random.states.size())};
    gated_delta_rule_chunked_backward(
        random.problem, 64, cotangents,
        {d[0].data(), d[1].data(), d[2].data(), d[3].data(), d[4].data(), d[5].data()}, nullptr,
        rounding);
    return d;
  };
  const auto exact = gradients({});
  const auto bf16 = gradients(chunked_rounding(Format::kBFloat16));
  const auto f16 = gradients(chunked_rounding(Format::kFloat16));
  for (std::size_t i = 0; i < names.size(); ++i) {
    const double coarse = distance(bf16[i], exact[i]);
    const double fine = distance(f16[i], exact[i]);
    std::printf("%s: bf16 %.3g, f16 %.3g units\n", names[i], coarse / 0x1p-8, fine / 0x1p-11);
    // Several roundings of half a unit meet in every gradient, and the units differ by eight.
    EXPECT_GT(coarse, 0.2 * 0x1p-8) << names[i];
    EXPECT_LT(coarse, 30 * 0x1p-8) << names[i];
    EXPECT_NEAR(coarse / fine, 8.0, 3.0) << names[i];
  }
}

TEST(Emulate, RoundsOutputsToTheFormatAndRefusesOtherOps) {
  OpCall call;
  call.op = Op::kRecurrentGatedDeltaRule;
  const auto filled = [](std::vector<int64_t> shape, double step) {
    Tensor tensor(DType::kF32, std::move(shape));
    for (int64_t i = 0; i < tensor.numel(); ++i) tensor.set(i, std::sin(step * (1.0 + double(i))));
    return tensor;
  };
  call.inputs = {{"q", filled({1, 5, 1, 4}, 0.7)},
                 {"k", filled({1, 5, 1, 4}, 1.1)},
                 {"v", filled({1, 5, 2, 3}, 0.3)},
                 {"g", Tensor(DType::kF32, {1, 5, 2})},
                 {"beta", filled({1, 5, 2}, 0.1)}};
  call.outputs["output"] = {DType::kBF16, {1, 5, 2, 3}, {}};
  for (const Op op : {Op::kRecurrentGatedDeltaRule, Op::kChunkGatedDeltaRule}) {
    call.op = op;
    const Result<TensorMap> got = emulate(call, EmulatedPrecision::kBFloat16);
    ASSERT_TRUE(got.ok()) << got.error().message;
    const Tensor& output = got->at("output");
    const OpResult exact = *evaluate(call);
    double error = 0.0;
    for (int64_t i = 0; i < output.numel(); ++i) {
      EXPECT_EQ(output.at(i), round_to(Format::kBFloat16, output.at(i)));
      error = std::max(error, std::abs(output.at(i) - exact.outputs.at("output").at(i)));
    }
    EXPECT_GT(error, 0.0);
  }
  OpCall norm;
  norm.op = Op::kL2Norm;
  norm.inputs["x"] = filled({2, 3}, 1.0);
  norm.outputs["output"] = {DType::kF32, {2, 3}, {}};
  const Result<TensorMap> refused = emulate(norm, EmulatedPrecision::kTf32);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message,
            "l2norm fwd: expected the chunked delta rule, or the forward of the recurrent one, to "
            "emulate");
}

}  // namespace
}  // namespace packproof::reference
