#include "reference/model_test_support.h"

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

Tensor logits_of(const Model& model, const TestBatch& batch) {
  return model.forward(batch.packed(), {}).value().logits;
}

TEST(ModelPerturbed, DisturbsBySizeAndSeed) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 1);
  const TestBatch batch = test_batch(config, {3, 1, 4}, 2);
  const Tensor truth = logits_of(*model, batch);
  const auto noise = [&](double deviation, uint64_t seed) {
    return relative_error(logits_of(*model->perturbed(deviation, seed).value(), batch), truth);
  };
  EXPECT_EQ(noise(0.0, 5), 0.0);
  EXPECT_EQ(noise(1e-8, 5), noise(1e-8, 5));
  EXPECT_NE(noise(1e-8, 5), noise(1e-8, 6));
  // First order: what is left of second order is 1e-8 of it, and 1e-16 of rounding 1e-7 of it.
  EXPECT_NEAR(noise(2e-8, 5) / noise(1e-8, 5), 2.0, 1e-5);
  // A logit is a sum of disturbed weights' products, so its own last factor already shows 1e-8.
  EXPECT_GT(noise(1e-8, 5), 1e-9);
}

TEST(ModelPerturbed, EveryParameterMoves) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35Moe);
  const auto model = tiny_model(config, 1);
  const TestBatch batch = test_batch(config, {5, 4}, 2);
  const auto disturbed = model->perturbed(1e-6, 3);
  ASSERT_TRUE(disturbed.ok());
  const auto gradients = [&](const Model& of) {
    return of.loss_and_gradients(batch.packed(), batch.labels, Model::GradientMethod::kDerived)
        .value()
        .gradients;
  };
  const auto truth = gradients(*model);
  const auto moved = gradients(**disturbed);
  for (const auto& [name, gradient] : truth) {
    const double distance = relative_error(moved.at(name), gradient);
    EXPECT_GT(distance, 1e-8) << name;
    EXPECT_LT(distance, 1e-2) << name;
  }
}

}  // namespace
}  // namespace packproof::reference
