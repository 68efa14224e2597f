#include "reference/model_test_support.h"

#include <functional>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

struct Refusal {
  std::string name;
  std::function<void(ModelBatch&)> spoil;
  std::string message;
};

ModelBatch sound_batch() {
  ModelBatch batch;
  batch.input_ids = Tensor(DType::kI64, {2, 3});
  return batch;
}

class BatchRefusals : public ::testing::TestWithParam<Refusal> {};

TEST_P(BatchRefusals, NamesFieldAndPlace) {
  const auto model = tiny_model(tiny_config(ModelFamily::kQwen3Next), 1);
  ModelBatch batch = sound_batch();
  ASSERT_TRUE(model->forward(batch, {}).ok());
  GetParam().spoil(batch);
  const auto result = model->forward(batch, {});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.error().code, Code::kInvalidInput);
  EXPECT_EQ(result.error().message, GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Fields, BatchRefusals,
    ::testing::Values(
        Refusal{"IdTooLarge", [](ModelBatch& b) { b.input_ids.set_int(5, 29); },
                "input_ids[1, 2]: expected a value in [0, 28], found 29"},
        Refusal{"IdNegative", [](ModelBatch& b) { b.input_ids.set_int(1, -1); },
                "input_ids[0, 1]: expected a value in [0, 28], found -1"},
        Refusal{"IdRank", [](ModelBatch& b) { b.input_ids = Tensor(DType::kI64, {3}); },
                "input_ids: expected shape [B, L] with B, L >= 1, found [3]"},
        Refusal{"IdType",
                [](ModelBatch& b) {
                  b.input_ids = Tensor(DType::kI32, {2, 3});
                },
                "input_ids: expected i64, found i32"},
        Refusal{"MaskShape",
                [](ModelBatch& b) {
                  b.attention_mask = Tensor(DType::kI64, {2, 4});
                },
                "attention_mask: expected shape [2, 3], found [2, 4]"},
        Refusal{"MaskValue",
                [](ModelBatch& b) {
                  b.attention_mask = Tensor(DType::kI64, {2, 3});
                  b.attention_mask->set_int(4, 2);
                },
                "attention_mask[1, 1]: expected a value in [0, 1], found 2"},
        Refusal{"PositionShape",
                [](ModelBatch& b) {
                  b.position_ids = Tensor(DType::kI64, {3, 2, 3});
                },
                "position_ids: expected shape [2, 3], found [3, 2, 3]"},
        Refusal{"PositionNegative",
                [](ModelBatch& b) {
                  b.position_ids = Tensor(DType::kI64, {2, 3});
                  b.position_ids->set_int(3, -2);
                },
                "position_ids[1, 0]: expected a value in [0, 4503599627370496], found -2"},
        Refusal{"PackedRows",
                [](ModelBatch& b) {
                  b.cu_seqlens = {0, 3};
                },
                "cu_seqlens: expected one batch row (packed form), found B = 2"},
        Refusal{"PackedMask",
                [](ModelBatch& b) {
                  b.input_ids = Tensor(DType::kI64, {1, 3});
                  b.attention_mask = Tensor(DType::kI64, {1, 3});
                  b.cu_seqlens = {0, 3};
                },
                "attention_mask: expected none beside cu_seqlens, found one"}),
    [](const auto& info) { return info.param.name; });

TEST(BatchRefusals, InconsistentBoundariesAreRefusedByPacking) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 1);
  ModelBatch batch;
  batch.input_ids = random_ids(config, {1, 6}, 1);
  for (const std::vector<int64_t>& cu :
       std::vector<std::vector<int64_t>>{{1, 6}, {0, 4, 3, 6}, {0, 7}}) {
    batch.cu_seqlens = cu;
    const auto result = model->forward(batch, {});
    ASSERT_FALSE(result.ok());
    EXPECT_NE(result.error().message.find("cu_seqlens"), std::string::npos);
  }
  batch.cu_seqlens = {0, 2, 6};
  EXPECT_TRUE(model->forward(batch, {}).ok());
}

TEST(CacheRefusals, RowsAndPackedCalls) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  const auto model = tiny_model(config, 1);
  const auto cache = model->make_cache(2);
  ModelBatch batch;
  batch.input_ids = random_ids(config, {1, 6}, 1);
  const auto rows = model->forward_cached(batch, *cache, {});
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().message, "input_ids: expected the cache's 2 rows, found 1");
  batch.cu_seqlens = {0, 2, 6};
  EXPECT_FALSE(model->forward_cached(batch, *cache, {}).ok());
}

TEST(ModelRefusals, NanAmongWeightsIsNamed) {
  const ModelConfig config = tiny_config(ModelFamily::kQwen35);
  Checkpoint checkpoint = random_checkpoint(config, GateRegime::kSlow, 1);
  checkpoint.tensors.at("model.norm.weight").set(3, NAN);
  const auto model = make_model(config, std::move(checkpoint));
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.error().message.find("model.norm.weight"), std::string::npos);
}

}  // namespace
}  // namespace packproof::reference
