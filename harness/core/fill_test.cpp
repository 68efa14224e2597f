#include "harness/core/fill.h"

#include "harness/core/fill_gates.h"
#include "harness/core/portable_math.h"
#include "harness/core/random_stream.h"

#include <cmath>

#include <gtest/gtest.h>

namespace packproof {
namespace {

Packing packing(std::vector<int64_t> lengths, int64_t slack = 0) {
  return Packing::from_lengths(std::move(lengths), slack).value();
}

TEST(RandomStream, IsAFunctionOfSeedNameAndIndices) {
  const RandomStream stream(7, "q");
  EXPECT_EQ(stream.at(3).at(1).bits(), RandomStream(7, "q").at(3).at(1).bits());
  EXPECT_NE(stream.at(3).at(1).bits(), stream.at(1).at(3).bits());
  EXPECT_NE(stream.bits(), RandomStream(8, "q").bits());
  EXPECT_NE(stream.bits(), RandomStream(7, "k").bits());
  EXPECT_NE(stream.at(0).bits(), stream.bits());
}

// Goldens depend on these bits: a change of the generator must be noticed.
TEST(RandomStream, KeepsItsBits) {
  EXPECT_EQ(RandomStream(1, "x").at(2).at(3).bits(), uint64_t{0xCFBF9C53A4452E73});
  EXPECT_EQ(RandomStream(1, "x").at(2).at(3).normal(), 0x1.0bdb98490a7aep+0);
}

// Means of n draws lie within 5 standard errors (a chance of 6e-7, and the draws are fixed).
TEST(RandomStream, HasTheMomentsOfItsDistributions) {
  constexpr int64_t kDraws = 40000;
  const RandomStream stream(5, "moments");
  double sum = 0.0, square = 0.0, fourth = 0.0, uniform = 0.0;
  int64_t ones = 0;
  for (int64_t i = 0; i < kDraws; ++i) {
    const double normal = stream.at(i).normal();
    sum += normal;
    square += normal * normal;
    fourth += normal * normal * normal * normal;
    uniform += stream.at(i).uniform();
    ones += stream.at(i).integer(0, 2) == 1 ? 1 : 0;
  }
  const double root = std::sqrt(static_cast<double>(kDraws));
  EXPECT_LT(std::abs(sum / kDraws), 5.0 / root);
  EXPECT_LT(std::abs(square / kDraws - 1.0), 5.0 * std::sqrt(2.0) / root);
  EXPECT_LT(std::abs(fourth / kDraws - 3.0), 5.0 * std::sqrt(96.0) / root);
  EXPECT_LT(std::abs(uniform / kDraws - 0.5), 5.0 * std::sqrt(1.0 / 12.0) / root);
  EXPECT_LT(std::abs(static_cast<double>(ones) / kDraws - 1.0 / 3.0),
            5.0 * std::sqrt(2.0 / 9.0) / root);
}

TEST(Fill, ASequenceHasItsDataWhereverItStands) {
  const FillRecipe recipe = FillRecipe::normal();
  const Tensor one = fill_tokens(recipe, {3, "q", DType::kBF16, {1, 5, 2, 4}}, packing({2, 3}));
  const Tensor two = fill_tokens(recipe, {3, "q", DType::kBF16, {1, 9, 2, 4}}, packing({4, 3}, 2));
  for (int64_t i = 0; i < 3 * 8; ++i) {
    EXPECT_EQ(one.bits_at(2 * 8 + i), two.bits_at(4 * 8 + i)) << i;
  }
  for (int64_t i = 0; i < 2 * 8; ++i) EXPECT_EQ(one.bits_at(i), two.bits_at(i)) << i;
  for (int64_t i = 7 * 8; i < 9 * 8; ++i) EXPECT_EQ(two.bits_at(i), 0xFFFFU) << i;
}

TEST(Fill, RoundsOnceToTheDType) {
  const FillTarget wide{3, "v", DType::kF64, {1, 6, 8}};
  const FillTarget narrow{3, "v", DType::kF16, {1, 6, 8}};
  const Tensor values = fill_tokens(FillRecipe::normal(2.0), wide, packing({6}));
  const Tensor rounded = fill_tokens(FillRecipe::normal(2.0), narrow, packing({6}));
  for (int64_t i = 0; i < values.numel(); ++i) {
    EXPECT_EQ(rounded.at(i), round_to(DType::kF16, values.at(i)));
  }
}

TEST(Fill, StatesFollowTheirOrdinals) {
  const int64_t forward[] = {0, 1, 9};
  const int64_t swapped[] = {1, 0};
  const Tensor a = fill_sequences(FillRecipe::normal(), {3, "s", DType::kF32, {3, 2, 2}}, forward);
  const Tensor b = fill_sequences(FillRecipe::normal(), {3, "s", DType::kF32, {2, 2, 2}}, swapped);
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(a.at(i), b.at(4 + i));
    EXPECT_EQ(a.at(4 + i), b.at(i));
    EXPECT_NE(a.at(8 + i), a.at(i));
  }
}

TEST(Fill, RecipesKeepTheirRanges) {
  const Tensor beta = fill_shared(FillRecipe::sigmoid_normal(), {1, "beta", DType::kF32, {1000}});
  const Tensor integers = fill_shared(FillRecipe::integers(3), {1, "x", DType::kF32, {1000}});
  const Tensor uniform = fill_shared(FillRecipe::uniform(2, 3), {1, "u", DType::kF64, {1000}});
  const Tensor constant = fill_shared(FillRecipe::constant(0.5), {1, "c", DType::kF32, {3}});
  bool reached = false;
  for (int64_t i = 0; i < 1000; ++i) {
    EXPECT_TRUE(beta.at(i) > 0.0 && beta.at(i) < 1.0);
    EXPECT_EQ(integers.at(i), std::round(integers.at(i)));
    EXPECT_LE(std::abs(integers.at(i)), 3.0);
    reached = reached || integers.at(i) == -3.0;
    EXPECT_TRUE(uniform.at(i) > 2.0 && uniform.at(i) < 3.0);
  }
  EXPECT_TRUE(reached);
  EXPECT_EQ(constant.at(2), 0.5);
}

constexpr int64_t kHeads = 3;

/// g in double from parameters as a kernel would see them.
double gate_of(const GateParameters& gate, int64_t index) {
  const int64_t head = index % kHeads;
  const double argument = gate.a.at(index) + gate.dt_bias.at(head);
  return -std::exp(gate.A_log.at(head)) * portable::softplus(argument);
}

bool is_in_regime(GateRegime regime, double g) {
  switch (regime) {
    case GateRegime::kSlow:
      return g >= -0.05 && g <= 0.0;
    case GateRegime::kMixedZeros:
      return g >= -0.2 && g <= 0.0;
    case GateRegime::kAllZero:
      return g == 0.0;
    case GateRegime::kStrong:
      return g >= -30.0 && g <= -5.0;
    case GateRegime::kSpike:
      return (g >= -0.05 && g <= 0.0) ||
             std::abs(g + 100.0) <= 0.5;  // bf16 near 200 has spacing 1.
    case GateRegime::kDefaultInit:
      return g < 0.0;
  }
  return false;
}

class Gates : public testing::TestWithParam<GateRegime> {};

TEST_P(Gates, LogDecaysLieInTheirRegimeGivenOrMadeInTheKernel) {
  const Packing p = packing({200, 0, 1, 99}, 2);
  const std::vector<int64_t> shape{1, p.total_rows(), kHeads};
  const Tensor g = fill_log_decays(11, GetParam(), shape, p);
  for (int64_t i = 0; i < p.total_tokens() * kHeads; ++i) {
    ASSERT_TRUE(is_in_regime(GetParam(), g.at(i))) << g.at(i);
  }
  for (int64_t i = p.total_tokens() * kHeads; i < g.numel(); ++i) ASSERT_TRUE(std::isnan(g.at(i)));
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16}) {
    const GateParameters gate = fill_gate_parameters(11, GetParam(), dtype, shape, p);
    for (int64_t i = 0; i < p.total_tokens() * kHeads; ++i) {
      const double made = round_to(DType::kF32, gate_of(gate, i));
      ASSERT_TRUE(is_in_regime(GetParam(), made)) << made << " " << name_of(dtype);
      ASSERT_EQ(g.at(i) == 0.0, made == 0.0) << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Regimes, Gates,
                         testing::ValuesIn(all_gate_regimes().begin(), all_gate_regimes().end()),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST(Gates, MixedZerosAreThreeInTen) {
  const Packing p = packing({4000});
  const Tensor g = fill_log_decays(2, GateRegime::kMixedZeros, {1, 4000, 1}, p);
  double zeros = 0.0;
  for (int64_t i = 0; i < 4000; ++i) zeros += g.at(i) == 0.0 ? 1.0 : 0.0;
  EXPECT_LT(std::abs(zeros / 4000.0 - 0.3), 5.0 * std::sqrt(0.3 * 0.7 / 4000.0));
}

TEST(Gates, ASpikeIsOneTokenOfEverySequence) {
  const Packing p = packing({1, 50, 3, 0, 50});
  const Tensor g = fill_log_decays(2, GateRegime::kSpike, {1, p.total_rows(), kHeads}, p);
  for (int64_t n = 0; n < p.num_seqs(); ++n) {
    int64_t spikes = 0;
    for (int64_t i = p.begin(n) * kHeads; i < p.begin(n + 1) * kHeads; ++i) {
      spikes += g.at(i) == -100.0 ? 1 : 0;
    }
    EXPECT_EQ(spikes, p.length(n) > 0 ? kHeads : 0) << n;
  }
}

TEST(Gates, DefaultInitialisationHasTheSpreadOfTheModel) {
  const Packing p = packing({8});
  const GateParameters gate =
      fill_gate_parameters(4, GateRegime::kDefaultInit, DType::kF32, {1, 8, 64}, p);
  double largest = -1e9;
  double smallest = 1e9;
  for (int64_t head = 0; head < 64; ++head) {
    EXPECT_EQ(gate.dt_bias.at(head), 1.0);
    largest = std::max(largest, gate.A_log.at(head));
    smallest = std::min(smallest, gate.A_log.at(head));
  }
  EXPECT_LE(largest, std::log(16.0));
  EXPECT_GT(largest, std::log(14.0));
  EXPECT_GE(smallest, std::log(0.01));
  EXPECT_LT(smallest, std::log(2.0));
}

}  // namespace
}  // namespace packproof
