#include "reference/random_weights.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

ModelConfig small_config(ModelFamily family) {
  ModelConfig config;
  config.family = family;
  config.vocab_size = 100;
  config.hidden_size = 64;
  config.intermediate_size = 48;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.num_key_value_heads = 1;
  config.head_dim = 16;
  config.partial_rotary_factor = 0.5;
  config.linear_key_head_dim = 16;
  config.linear_value_head_dim = 16;
  config.linear_num_key_heads = 2;
  config.linear_num_value_heads = 20;
  config.attention_bias = true;
  config.layer_types = {LayerType::kLinearAttention, LayerType::kFullAttention};
  if (family != ModelFamily::kQwen35) {
    config.num_experts = 4;
    config.num_experts_per_tok = 2;
    config.moe_intermediate_size = 24;
    config.shared_expert_intermediate_size = 24;
  }
  return config;
}

/// exp(A_log) of the only delta-net layer.
std::vector<double> rates_of(GateRegime gate) {
  const Checkpoint checkpoint = random_checkpoint(small_config(ModelFamily::kQwen35), gate, 3);
  std::vector<double> rates;
  for (const double a :
       checkpoint.tensors.at("model.layers.0.linear_attn.A_log").values<double>()) {
    rates.push_back(std::exp(a));
  }
  return rates;
}

double deviation_of(const Tensor& tensor) {
  double squares = 0.0;
  for (const double x : tensor.values<double>()) squares += x * x;
  return std::sqrt(squares / static_cast<double>(tensor.numel()));
}

TEST(RandomWeights, HaveExactlyTheModelsTensors) {
  for (const ModelFamily family :
       {ModelFamily::kQwen35, ModelFamily::kQwen35Moe, ModelFamily::kQwen3Next}) {
    const ModelConfig config = small_config(family);
    ASSERT_TRUE(validate(config).ok()) << validate(config).error().message;
    for (const WeightInit init : {WeightInit::kEveryTermMatters, WeightInit::kLibrary}) {
      const Checkpoint checkpoint = random_checkpoint(config, GateRegime::kSlow, 1, init);
      const Status status = check_tensors(config, checkpoint);
      EXPECT_TRUE(status.ok()) << status.error().message;
    }
  }
}

TEST(RandomWeights, DependOnTheSeedAlone) {
  const ModelConfig config = small_config(ModelFamily::kQwen35);
  const Checkpoint one = random_checkpoint(config, GateRegime::kSlow, 1);
  const Checkpoint again = random_checkpoint(config, GateRegime::kSlow, 1);
  const Checkpoint other = random_checkpoint(config, GateRegime::kSlow, 2);
  for (const auto& [name, tensor] : one.tensors) {
    EXPECT_TRUE(std::ranges::equal(tensor.bytes(), again.tensors.at(name).bytes())) << name;
    EXPECT_FALSE(std::ranges::equal(tensor.bytes(), other.tensors.at(name).bytes())) << name;
  }
  // A taller model begins with the same layers.
  ModelConfig taller = config;
  taller.num_hidden_layers = 3;
  taller.layer_types.push_back(LayerType::kLinearAttention);
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  const Checkpoint tall = random_checkpoint(taller, GateRegime::kSlow, 1);
  EXPECT_TRUE(std::ranges::equal(tall.tensors.at(name).bytes(), one.tensors.at(name).bytes()));
}

TEST(RandomWeights, HaveScalesAtWhichEveryTermMatters) {
  const Checkpoint checkpoint =
      random_checkpoint(small_config(ModelFamily::kQwen35), GateRegime::kSlow, 5);
  // The standard deviation of n normal draws is off by 1/sqrt(2n), one standard error; n >= 3,000
  // and five of them are 6.5 %.
  const auto near = [&](const std::string& name, double deviation) {
    EXPECT_NEAR(deviation_of(checkpoint.tensors.at(name)) / deviation, 1.0, 0.065) << name;
  };
  near("model.embed_tokens.weight", 1.0);
  near("model.layers.0.mlp.up_proj.weight", 1.0 / 8.0);
  near("model.layers.0.mlp.down_proj.weight", 1.0 / std::sqrt(48.0));
  // Conv taps: 384 * 4 = 1,536 values, five standard errors are 9 %.
  EXPECT_NEAR(deviation_of(checkpoint.tensors.at("model.layers.0.linear_attn.conv1d.weight")), 0.6,
              0.6 * 0.09);
  for (const auto& [name, mean] : std::vector<std::pair<std::string, double>>{
           {"model.norm.weight", 0.0}, {"model.layers.0.linear_attn.norm.weight", 1.0}}) {
    for (const double w : checkpoint.tensors.at(name).values<double>()) {
      EXPECT_LT(std::abs(w - mean), 1.2) << name;  // Six standard deviations of 0.2.
      EXPECT_NE(w, mean) << name;
    }
  }
}

TEST(RandomWeights, PutTheGatesIntoTheirRegime) {
  // exp(0.6) = 1.82 is six standard deviations of the noise of 0.1 in A_log.
  for (const double rate : rates_of(GateRegime::kSlow)) {
    EXPECT_GT(rate, 0.012 / 1.9);
    EXPECT_LT(rate, 0.012 * 1.9);
  }
  for (const double rate : rates_of(GateRegime::kStrong)) EXPECT_GT(rate, 8.0 / 1.9);
  for (const double rate : rates_of(GateRegime::kAllZero)) EXPECT_EQ(rate, 0.0);
  for (const double rate : rates_of(GateRegime::kDefaultInit)) {
    EXPECT_GT(rate, 0.0099);
    EXPECT_LT(rate, 16.001);
  }
  const std::vector<double> mixed = rates_of(GateRegime::kMixedZeros);
  EXPECT_EQ(std::ranges::count(mixed, 0.0), 6);  // Three of ten, of 20 heads.
  EXPECT_EQ(std::ranges::count(mixed.begin(), mixed.begin() + 2, 0.0), 1);
  const std::vector<double> spike = rates_of(GateRegime::kSpike);
  EXPECT_EQ(std::ranges::count_if(spike, [](double rate) { return rate > 75.0 / 1.9; }), 5);
}

}  // namespace
}  // namespace packproof::reference
