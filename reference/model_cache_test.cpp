#include "reference/model_test_support.h"

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

// As in model_test.cpp: the same values in another order of operations.
constexpr double kSameValue = 1e-13;

ForwardOptions with_states() {
  ForwardOptions options;
  options.states = true;
  return options;
}

class ModelCuts : public ::testing::TestWithParam<std::pair<std::string, ModelConfig>> {};

TEST_P(ModelCuts, AnyCutGivesTheSameOutputsAndStates) {
  const ModelConfig& config = GetParam().second;
  const auto model = tiny_model(config, 21);
  const int64_t length = 13;
  ModelBatch whole;
  whole.input_ids = random_ids(config, {2, length}, 4);
  const auto one_shot = model->forward(whole, with_states());
  ASSERT_TRUE(one_shot.ok()) << one_shot.error().message;
  const std::vector<std::vector<int64_t>> cuts{
      {13}, {1, 12}, {12, 1}, {5, 8}, {2, 1, 1, 3, 6}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};
  for (const std::vector<int64_t>& cut : cuts) {
    const auto cache = model->make_cache(2);
    int64_t at = 0;
    for (const int64_t step : cut) {
      ModelBatch segment;
      segment.input_ids = whole.input_ids.slice(1, at, at + step);
      const auto output = model->forward_cached(segment, *cache, with_states());
      ASSERT_TRUE(output.ok()) << output.error().message;
      EXPECT_LE(relative_error(output->logits, one_shot->logits.slice(1, at, at + step)),
                kSameValue)
          << "segment of " << step << " at " << at;
      at += step;
      EXPECT_EQ(cache->sequence_length(), at);
      if (at < length) continue;
      for (const auto& [layer, state] : one_shot->recurrent_state) {
        EXPECT_LE(relative_error(output->recurrent_state.at(layer), state), kSameValue);
        EXPECT_LE(relative_error(output->conv_state.at(layer), one_shot->conv_state.at(layer)),
                  kSameValue);
      }
    }
  }
}

TEST_P(ModelCuts, LeftPaddedPrefillDecodesAsAlone) {
  const ModelConfig& config = GetParam().second;
  const auto model = tiny_model(config, 22);
  const TestBatch batch = test_batch(config, {6, 1, 4}, 9);
  const PaddedLayout layout = padded_layout(batch.packing, PadSide::kLeft);
  const Tensor next = random_ids(config, {3, 3}, 10);
  const auto cache = model->make_cache(3);
  ASSERT_TRUE(model->forward_cached(batch.padded(layout), *cache, {}).ok());
  const Tensor prefix_mask = attention_mask(batch.packing, layout);
  for (int64_t t = 0; t < 3; ++t) {
    ModelBatch step;
    step.input_ids = next.slice(1, t, t + 1);
    step.attention_mask = Tensor(DType::kI64, {3, layout.length + t + 1});
    step.position_ids = Tensor(DType::kI64, {3, 1});
    for (int64_t n = 0; n < 3; ++n) {
      for (int64_t i = 0; i < layout.length + t + 1; ++i) {
        step.attention_mask->set_int(
            n * (layout.length + t + 1) + i,
            i < layout.length ? prefix_mask.int_at(n * layout.length + i) : 1);
      }
      step.position_ids->set_int(n, batch.packing.length(n) + t);
    }
    const auto output = model->forward_cached(step, *cache, {});
    ASSERT_TRUE(output.ok()) << output.error().message;
    for (int64_t n = 0; n < 3; ++n) {
      ModelBatch alone;
      const int64_t length = batch.packing.length(n) + t + 1;
      alone.input_ids = Tensor(DType::kI64, {1, length});
      for (int64_t i = 0; i < length; ++i) {
        alone.input_ids.set_int(i, i < batch.packing.length(n)
                                       ? batch.ids.int_at(batch.packing.begin(n) + i)
                                       : next.int_at(n * 3 + i - batch.packing.length(n)));
      }
      const auto expected = model->forward(alone, {});
      ASSERT_TRUE(expected.ok());
      EXPECT_LE(relative_error(output->logits.slice(0, n, n + 1),
                               expected->logits.slice(1, length - 1, length)),
                kSameValue);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, ModelCuts, ::testing::ValuesIn(tiny_configs()),
                         [](const auto& info) { return info.param.first; });

TEST(ModelCache, FailedCallLeavesItUntouched) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 2);
  const auto cache = model->make_cache(1);
  ModelBatch batch;
  batch.input_ids = random_ids(config, {1, 4}, 1);
  ForwardOptions failing;
  failing.hook = [](const OpSite& site) -> Result<TensorMap> {
    if (site.layer == 2) return internal_error("late");
    return site.expected;
  };
  EXPECT_FALSE(model->forward_cached(batch, *cache, failing).ok());
  EXPECT_EQ(cache->sequence_length(), 0);
  const auto after = model->forward_cached(batch, *cache, {});
  const auto fresh = model->forward(batch, {});
  ASSERT_TRUE(after.ok() && fresh.ok());
  EXPECT_EQ(relative_error(after->logits, fresh->logits), 0.0);
}

}  // namespace
}  // namespace packproof::reference
