#include "reference/model_test_support.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

using Method = Model::GradientMethod;

// Both derivations are double-precision evaluations of one function; against the oracle data they
// agree to 3e-14 per tensor. A gradient may cancel further on an unlucky draw.
constexpr double kSameGradient = 1e-12;

class LossGradients : public ::testing::TestWithParam<std::pair<std::string, ModelConfig>> {
 protected:
  const ModelConfig& config() const { return GetParam().second; }

  Model::LossResult compute(const ModelBatch& batch, const Tensor& labels, Method method) {
    auto result = model_->loss_and_gradients(batch, labels, method);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return result.ok() ? std::move(result).value() : Model::LossResult{};
  }

  std::unique_ptr<Model> model_ = tiny_model(GetParam().second, 31);
};

TEST_P(LossGradients, PaddedAndPackedAgree) {
  const TestBatch batch = test_batch(config(), {1, 7, 3, 12}, 4);
  const Model::LossResult packed = compute(batch.packed(), batch.labels, Method::kAutograd);
  for (const PadSide side : {PadSide::kLeft, PadSide::kRight}) {
    const PaddedLayout layout = padded_layout(batch.packing, side, 2);
    const Tensor labels = batch.scattered(layout, batch.labels, -100);
    for (const Method method : {Method::kAutograd, Method::kDerived}) {
      const Model::LossResult padded = compute(batch.padded(layout), labels, method);
      EXPECT_NEAR(padded.loss, packed.loss, 1e-13);
      EXPECT_NEAR(padded.aux_loss, packed.aux_loss, 1e-13);
      EXPECT_LE(relative_error(batch.gathered(layout, padded.grad_inputs_embeds),
                               packed.grad_inputs_embeds),
                kSameGradient);
      for (const auto& [name, gradient] : packed.gradients) {
        EXPECT_LE(relative_error(padded.gradients.at(name), gradient), kSameGradient) << name;
      }
    }
  }
}

TEST_P(LossGradients, DerivedEqualsAutograd) {
  TestBatch batch = test_batch(config(), {5, 0, 1, 70, 2}, 5);
  batch.ids = random_ids(config(), {1, 80}, 6);  // Two slack rows.
  Tensor labels(DType::kI64, {1, 80});
  for (int64_t t = 0; t < 80; ++t) labels.set_int(t, t < 78 ? batch.labels.int_at(t) : -100);
  const Model::LossResult a = compute(batch.packed(), labels, Method::kAutograd);
  const Model::LossResult b = compute(batch.packed(), labels, Method::kDerived);
  EXPECT_NEAR(a.loss, b.loss, 1e-13);
  EXPECT_NEAR(a.aux_loss, b.aux_loss, 1e-13);
  EXPECT_EQ(a.aux_loss > 0.0, config().output_router_logits);
  EXPECT_LE(relative_error(b.logits, a.logits), kSameGradient);
  EXPECT_LE(relative_error(b.grad_inputs_embeds, a.grad_inputs_embeds), kSameGradient);
  ASSERT_EQ(a.gradients.size(), b.gradients.size());
  const std::size_t parameters = expected_tensors(config()).size();
  EXPECT_EQ(a.gradients.size(), parameters + (config().tie_word_embeddings ? 1 : 0));
  for (const auto& [name, gradient] : a.gradients) {
    EXPECT_LE(relative_error(b.gradients.at(name), gradient), kSameGradient) << name;
  }
}

TEST_P(LossGradients, HolesInTheMask) {
  ModelBatch batch;
  batch.input_ids = random_ids(config(), {2, 9}, 7);
  batch.attention_mask = Tensor(DType::kI64, {2, 9});
  Tensor labels(DType::kI64, {2, 9});
  for (int64_t i = 0; i < 18; ++i) {
    const bool token = i != 4 && i != 5 && (i < 9 || i > 11);
    batch.attention_mask->set_int(i, token ? 1 : 0);
    labels.set_int(i, token ? batch.input_ids.int_at(i) : -100);
  }
  const Model::LossResult a = compute(batch, labels, Method::kAutograd);
  const Model::LossResult b = compute(batch, labels, Method::kDerived);
  EXPECT_NEAR(a.loss, b.loss, 1e-13);
  for (const auto& [name, gradient] : a.gradients) {
    EXPECT_LE(relative_error(b.gradients.at(name), gradient), kSameGradient) << name;
  }
}

TEST_P(LossGradients, CentralDifferencesAlongRandomDirections) {
  const TestBatch batch = test_batch(config(), {4, 6}, 8);
  const Checkpoint checkpoint = random_checkpoint(config(), GateRegime::kSlow, 31);
  const Model::LossResult result = compute(batch.packed(), batch.labels, Method::kDerived);
  // Error of a central difference: h^2 f''' / 6 + 2^-53 f / h, both near 1e-10 at h = 1e-5 for values
  // of order one; third derivatives of this model reach some 10^2.
  constexpr double kStep = 1e-5;
  constexpr double kTolerance = 1e-7;
  for (const auto& [name, weights] : checkpoint.tensors) {
    const RandomStream stream(17, name);
    Checkpoint moved[2] = {checkpoint, checkpoint};
    double expected = 0.0;
    for (int64_t i = 0; i < weights.numel(); ++i) {
      const double direction = stream.at(i).normal() / std::sqrt(double(weights.numel()));
      expected += direction * result.gradients.at(name).at(i);
      moved[0].tensors.at(name).set(i, weights.at(i) + kStep * direction);
      moved[1].tensors.at(name).set(i, weights.at(i) - kStep * direction);
    }
    double loss[2];
    for (int side = 0; side < 2; ++side) {
      auto model = make_model(config(), std::move(moved[side]));
      ASSERT_TRUE(model.ok());
      const auto moved_loss =
          (*model)->loss_and_gradients(batch.packed(), batch.labels, Method::kDerived);
      ASSERT_TRUE(moved_loss.ok());
      loss[side] = moved_loss->loss;
    }
    EXPECT_NEAR((loss[0] - loss[1]) / (2 * kStep), expected, kTolerance) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, LossGradients, ::testing::ValuesIn(tiny_configs()),
                         [](const auto& info) { return info.param.first; });

TEST(Loss, IsTheMeanOverScoredTargets) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 2);
  const TestBatch batch = test_batch(config, {3, 2}, 1);
  const auto result = model->loss_and_gradients(batch.packed(), batch.labels, Method::kAutograd);
  ASSERT_TRUE(result.ok());
  double sum = 0.0;
  for (const int64_t t : {0, 1, 3}) {  // Scored against labels 1, 2 and 4.
    double total = 0.0;
    for (int64_t c = 0; c < 29; ++c) total += std::exp(result->logits.at(t * 29 + c));
    sum += std::log(total) - result->logits.at(t * 29 + batch.labels.int_at(t + 1));
  }
  EXPECT_NEAR(result->loss, sum / 3, 1e-13);
}

TEST(Loss, RefusesLabelsByPlace) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 2);
  const TestBatch batch = test_batch(config, {3, 2}, 1);
  const auto message = [&](const Tensor& labels) {
    const auto result = model->loss_and_gradients(batch.packed(), labels, Method::kAutograd);
    return result.ok() ? std::string() : result.error().message;
  };
  Tensor labels = batch.labels;
  labels.set_int(2, 29);
  EXPECT_EQ(message(labels), "labels[0, 2]: expected -100 or a value in [0, 28], found 29");
  EXPECT_EQ(message(Tensor(DType::kI64, {1, 4})), "labels: expected i64 [1, 5], found i64 [1, 4]");
  for (int64_t t = 1; t < 5; ++t) labels.set_int(t, -100);
  EXPECT_EQ(message(labels),
            "labels: expected at least one scored target after the first column, found none");
}

}  // namespace
}  // namespace packproof::reference
