#include "reference/checkpoint.h"

#include "reference/checkpoint_test_support.h"
#include "reference/safetensors.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

const std::filesystem::path kModels = PACKPROOF_SOURCE_DIR "/fixtures/oracle/models";

struct Loaded {
  ModelConfig config;
  Checkpoint checkpoint;
  ModelLoadReport report;
};

Result<Loaded> load(const std::filesystem::path& folder) {
  Loaded loaded;
  PACKPROOF_TRY(loaded.config, load_model_config(folder));
  PACKPROOF_TRY(loaded.checkpoint, load_checkpoint(folder, loaded.config, &loaded.report));
  return loaded;
}

const Tensor& tensor_of(const Loaded& loaded, const std::string& name) {
  return loaded.checkpoint.tensors.at(name);
}

using Shape = std::vector<int64_t>;

class CheckpointTest : public testing::Test {
 protected:
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }

  /// A copy of an oracle model whose text files may be changed.
  std::filesystem::path copy_of(const std::string& model) {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) /
              (std::string("packproof_checkpoint_") + info->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::copy(kModels / model, folder_);
    return folder_;
  }

  /// Replaces every `from` in a file by `to`, which must be as long in a safetensors header.
  void replace(const std::string& file, const std::string& from, const std::string& to) {
    std::string text = read_file(folder_ / file);
    ASSERT_NE(text.find(from), std::string::npos) << from;
    for (std::size_t place = 0; (place = text.find(from, place)) != std::string::npos;) {
      text.replace(place, from.size(), to);
      place += to.size();
    }
    write_file(folder_ / file, text);
  }

  std::string refusal() {
    const auto loaded = load(folder_);
    if (loaded.ok()) return "accepted";
    std::string message = loaded.error().message;
    const std::string prefix = folder_.string();
    EXPECT_EQ(message.find(prefix), 0u) << message;
    return message.substr(prefix.size());
  }

  std::filesystem::path folder_;
};

TEST_F(CheckpointTest, LoadsADenseModel) {
  const auto loaded = load(kModels / "dense_r3");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_TRUE(check_tensors(loaded->config, loaded->checkpoint).ok());
  EXPECT_TRUE(loaded->report.ignored.empty());
  EXPECT_EQ(loaded->checkpoint.tensors.size(), 3u * 14 + 11 + 3);
  EXPECT_EQ(tensor_of(*loaded, "model.embed_tokens.weight").shape(), (Shape{97, 40}));
  EXPECT_EQ(tensor_of(*loaded, "model.layers.3.self_attn.q_proj.weight").shape(), (Shape{256, 40}));
  EXPECT_EQ(tensor_of(*loaded, "model.layers.0.linear_attn.conv1d.weight").shape(),
            (Shape{208, 1, 4}));
  EXPECT_EQ(tensor_of(*loaded, "lm_head.weight").dtype(), DType::kF64);
}

TEST_F(CheckpointTest, LoadsTiedEmbeddingsWithoutAHead) {
  const auto loaded = load(kModels / "dense_tied");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_FALSE(loaded->checkpoint.tensors.contains("lm_head.weight"));
  EXPECT_EQ(tensor_of(*loaded, "model.layers.1.self_attn.o_proj.bias").shape(), (Shape{48}));
}

TEST_F(CheckpointTest, StacksExpertsThatAreStoredOneByOne) {
  const auto loaded = load(kModels / "moe_r2");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_TRUE(check_tensors(loaded->config, loaded->checkpoint).ok());
  const auto file = SafetensorsFile::open(kModels / "moe_r2" / "model.safetensors");
  ASSERT_TRUE(file.ok()) << file.error().message;
  for (int64_t layer = 0; layer < 4; ++layer) {
    const std::string scope = "model.layers." + std::to_string(layer) + ".mlp.experts.";
    const Tensor& gate_up = tensor_of(*loaded, scope + "gate_up_proj");
    const Tensor& down = tensor_of(*loaded, scope + "down_proj");
    ASSERT_EQ(gate_up.shape(), (Shape{8, 48, 32}));
    ASSERT_EQ(down.shape(), (Shape{8, 32, 24}));
    for (int64_t expert = 0; expert < 8; ++expert) {
      const std::string name = scope + std::to_string(expert) + ".";
      const Tensor gate = *file->read(name + "gate_proj.weight");
      const Tensor up = *file->read(name + "up_proj.weight");
      const Tensor single = *file->read(name + "down_proj.weight");
      for (int64_t i = 0; i < 24 * 32; ++i) {
        ASSERT_EQ(gate_up.at(expert * 48 * 32 + i), gate.at(i));
        ASSERT_EQ(gate_up.at(expert * 48 * 32 + 24 * 32 + i), up.at(i));
        ASSERT_EQ(down.at(expert * 32 * 24 + i), single.at(i));
      }
    }
  }
}

TEST_F(CheckpointTest, LoadsFusedExpertsAndProjections) {
  const auto loaded = load(kModels / "next_r4");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(tensor_of(*loaded, "model.layers.0.mlp.experts.gate_up_proj").shape(),
            (Shape{6, 32, 36}));
  EXPECT_EQ(tensor_of(*loaded, "model.layers.0.linear_attn.in_proj_qkvz.weight").shape(),
            (Shape{320, 36}));
  EXPECT_EQ(tensor_of(*loaded, "model.layers.1.mlp.up_proj.weight").shape(), (Shape{44, 36}));
}

TEST_F(CheckpointTest, LoadsTheTextModelOfAMultimodalCheckpointInShards) {
  const auto loaded = load(kModels / "dense_multimodal_bf16");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_TRUE(check_tensors(loaded->config, loaded->checkpoint).ok());
  EXPECT_FALSE(loaded->report.ignored.empty());
  EXPECT_TRUE(std::ranges::all_of(loaded->report.ignored, [](const std::string& name) {
    return name.starts_with("model.visual.") || name.starts_with("mtp.");
  }));
  EXPECT_TRUE(std::ranges::count(loaded->report.ignored, "mtp.fc.weight") == 1);
  EXPECT_EQ(tensor_of(*loaded, "model.embed_tokens.weight").shape(), (Shape{59, 32}));
}

TEST_F(CheckpointTest, NamesMissingUnknownAndMisshapenTensors) {
  copy_of("dense_r3");
  replace("model.safetensors", "model.norm.weight", "model.norm.wEight");
  EXPECT_EQ(refusal(),
            ": expected exactly the model's tensors, found 1 missing: "
            "model.norm.weight; 1 unknown: model.norm.wEight");
  copy_of("dense_r3");
  replace("config.json", "\"vocab_size\": 97", "\"vocab_size\": 96");
  EXPECT_EQ(refusal(),
            ": expected exactly the model's tensors, found 2 of another shape: lm_head.weight "
            "(expected [96, 40], found [97, 40]), model.embed_tokens.weight (expected [96, 40], "
            "found [97, 40])");
  copy_of("dense_r3");
  replace("config.json", "\"intermediate_size\": 56", "\"intermediate_size\": 57");
  EXPECT_NE(refusal().find("12 of another shape: model.layers.0.mlp.down_proj.weight"),
            std::string::npos);
  EXPECT_NE(refusal().find(" and 7 more"), std::string::npos) << refusal();
}

TEST_F(CheckpointTest, NamesASingleMissingExpert) {
  copy_of("moe_r2");
  replace("model.safetensors", "layers.2.mlp.experts.0.up_proj", "layers.2.mlp.experts.9.up_proj");
  EXPECT_EQ(refusal(),
            ": expected exactly the model's tensors, found 1 missing: "
            "model.layers.2.mlp.experts.0.up_proj.weight; 1 unknown: "
            "model.layers.2.mlp.experts.9.up_proj.weight");
}

TEST_F(CheckpointTest, AcceptsAHeadBesideTiedEmbeddingsOnlyWhenItEqualsThem) {
  copy_of("dense_r3");
  replace("config.json", "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true");
  EXPECT_EQ(refusal(),
            ": expected 'lm_head.weight' to equal the embeddings since "
            "tie_word_embeddings is true, found another tensor");
  std::string bytes = read_file(folder_ / "model.safetensors");
  const auto file = SafetensorsFile::open(folder_ / "model.safetensors");
  ASSERT_TRUE(file.ok()) << file.error().message;
  const StoredTensor& head = file->tensors().at("lm_head.weight");
  const StoredTensor& embedding = file->tensors().at("model.embed_tokens.weight");
  const std::size_t data = bytes.size() - 476432;  // The data end with the last tensor.
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(data + embedding.begin),
              embedding.end - embedding.begin,
              bytes.begin() + static_cast<std::ptrdiff_t>(data + head.begin));
  write_file(folder_ / "model.safetensors", bytes);
  const auto loaded = load(folder_);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->report.ignored, std::vector<std::string>{"lm_head.weight"});
  EXPECT_FALSE(loaded->checkpoint.tensors.contains("lm_head.weight"));
}

TEST_F(CheckpointTest, RefusesTwoTensorsOfOneName) {
  copy_of("dense_multimodal_bf16");
  // A tensor of the vision tower takes the place of a second final norm.
  replace("model-00002-of-00003.safetensors", "\"model.visual.merger.linear_fc2.bias\"",
          "\"language_model.model.norm.weight\"   ");
  replace("model.safetensors.index.json", "model.visual.merger.linear_fc2.bias",
          "language_model.model.norm.weight");
  EXPECT_EQ(refusal(),
            ": expected one tensor for 'model.norm.weight', found "
            "'language_model.model.norm.weight' and "
            "'model.language_model.norm.weight'");
}

TEST_F(CheckpointTest, NamesAMissingShard) {
  copy_of("dense_multimodal_bf16");
  std::filesystem::remove(folder_ / "model-00002-of-00003.safetensors");
  EXPECT_EQ(refusal(),
            "/model.safetensors.index.json: expected the shard "
            "'model-00002-of-00003.safetensors' in the folder, found no such file");
}

TEST_F(CheckpointTest, HoldsTheIndexAgainstTheShards) {
  copy_of("dense_multimodal_bf16");
  replace("model.safetensors.index.json",
          "\"lm_head.weight\": \"model-00001-of-00003.safetensors\"",
          "\"lm_head.weight\": \"model-00002-of-00003.safetensors\"");
  EXPECT_EQ(refusal(),
            "/model.safetensors.index.json: expected tensor 'lm_head.weight' in shard "
            "'model-00002-of-00003.safetensors', found none there");
  copy_of("dense_multimodal_bf16");
  replace("model.safetensors.index.json",
          "\"lm_head.weight\": \"model-00001-of-00003.safetensors\",", "");
  EXPECT_EQ(refusal(),
            "/model.safetensors.index.json: expected every tensor of shard "
            "'model-00001-of-00003.safetensors' to be listed in it, found 'lm_head.weight' "
            "missing from the list");
}

TEST_F(CheckpointTest, AnIndexCannotReachOutsideItsFolder) {
  copy_of("dense_multimodal_bf16");
  replace("model.safetensors.index.json",
          "\"lm_head.weight\": \"model-00001-of-00003.safetensors\"",
          "\"lm_head.weight\": \"../model.safetensors\"");
  EXPECT_EQ(refusal(),
            "/model.safetensors.index.json: weight_map[\"lm_head.weight\"]: expected the name of a "
            "file in the same folder, found \"../model.safetensors\"");
  write_file(folder_ / "model.safetensors.index.json", "{\"weight_map\": []}");
  EXPECT_EQ(refusal(),
            "/model.safetensors.index.json: expected an object with a weight_map of "
            "tensor names, found {\"weight_map\":[]}");
}

TEST_F(CheckpointTest, SaysWhatAFolderLacks) {
  copy_of("dense_r3");
  std::filesystem::remove(folder_ / "model.safetensors");
  EXPECT_EQ(refusal(),
            ": expected model.safetensors or model.safetensors.index.json, found "
            "neither");
  std::filesystem::remove(folder_ / "config.json");
  EXPECT_EQ(refusal(), "/config.json: expected a readable file, found: No such file or directory");
  std::filesystem::remove_all(folder_);
  EXPECT_EQ(refusal(), ": expected a checkpoint folder, found nothing");
  EXPECT_EQ(load_model_config(folder_).error().code, Code::kUsage);
}

TEST_F(CheckpointTest, ExpectsTheOracleTensorsOfEveryFamily) {
  for (const char* model : {"dense_r3", "dense_tied", "next_r4"}) {
    const auto config = load_model_config(kModels / model);
    ASSERT_TRUE(config.ok()) << config.error().message;
    const auto file = SafetensorsFile::open(kModels / model / "model.safetensors");
    ASSERT_TRUE(file.ok()) << file.error().message;
    const std::vector<ExpectedTensor> expected = expected_tensors(*config);
    EXPECT_EQ(expected.size(), file->tensors().size()) << model;
    for (const auto& [name, shape] : expected) {
      ASSERT_TRUE(file->tensors().contains(name)) << name;
      EXPECT_EQ(file->tensors().at(name).shape, shape) << name;
    }
  }
}

TEST_F(CheckpointTest, ChecksTensorsThatDidNotComeFromAFile) {
  auto loaded = load(kModels / "dense_r3");
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  Checkpoint& checkpoint = loaded->checkpoint;
  Tensor& norm = checkpoint.tensors.at("model.norm.weight");
  norm.set(7, std::nan(""));
  EXPECT_EQ(check_tensors(loaded->config, checkpoint).error().message,
            "checkpoint: tensor 'model.norm.weight': expected finite values, found NaN at [7]");
  norm = Tensor(DType::kF32, {40});
  EXPECT_EQ(check_tensors(loaded->config, checkpoint).error().message,
            "checkpoint: tensor 'model.norm.weight': expected contiguous f64, found another "
            "layout of f32");
  norm = Tensor(DType::kF64, {41});
  EXPECT_FALSE(check_tensors(loaded->config, checkpoint).ok());
}

}  // namespace
}  // namespace packproof::reference
