#include "harness/inspect/batch.h"

#include <fstream>

#include <gtest/gtest.h>

namespace packproof {
namespace {

const std::filesystem::path kFolder =
    std::filesystem::path(PACKPROOF_SOURCE_DIR) / "fixtures/batches";

std::filesystem::path written(const std::string& name, const std::string& bytes) {
  const std::filesystem::path path = std::filesystem::temp_directory_path() / name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

std::string sentence_of(const std::filesystem::path& path) {
  std::vector<std::string> skipped;
  const Result<Batch> batch = read_batch(path, skipped);
  return batch.ok() ? "" : batch.error().message;
}

// Written by numpy, h5py and safetensors from one dictionary.
TEST(Batch, EveryFormatHoldsTheSame) {
  for (const char* name : {"complete.json", "complete.npz", "complete_compressed.npz",
                           "complete.safetensors", "complete.h5"}) {
    std::vector<std::string> skipped;
    const Result<Batch> batch = read_batch(kFolder / name, skipped);
    ASSERT_TRUE(batch.ok()) << name << ": " << batch.error().message;
    EXPECT_EQ(batch->at("cu_seq_lens_q").values, (std::vector<int64_t>{0, 3, 4, 8})) << name;
    EXPECT_EQ(batch->at("labels").values,
              (std::vector<int64_t>{-100, 12, 13, -100, -100, 32, 33, 34}))
        << name;
    EXPECT_EQ(batch->at("seq_idx").shape, (std::vector<int64_t>{1, 8})) << name;
    EXPECT_EQ(batch->at("max_length_q").values, std::vector<int64_t>{4}) << name;
    EXPECT_EQ(skipped.size(), name == std::string("complete_compressed.npz") ? 1u : 0u) << name;
  }
}

TEST(Batch, RefusesRaggedListsByName) {
  EXPECT_NE(sentence_of(written("ragged.json", R"({"input_ids": [[1, 2], [3]]})"))
                .find("'input_ids': expected nested lists of integers"),
            std::string::npos);
  EXPECT_NE(sentence_of(written("list.json", "[1]")).find("expected a JSON object"),
            std::string::npos);
}

TEST(Batch, RefusesWhatIsNoFileOfItsFormat) {
  EXPECT_NE(sentence_of("/no/such/batch.json").find("expected a file that holds a batch"),
            std::string::npos);
  EXPECT_NE(sentence_of(written("batch.txt", "1 2 3")).find("expected a batch in .json"),
            std::string::npos);
  EXPECT_NE(sentence_of(written("short.npz", "PK")).find("expected an archive"), std::string::npos);
}

// Every cut of an archive is refused or read whole, never a fault.
TEST(Batch, ACutArchiveIsRefused) {
  std::ifstream file(kFolder / "complete_compressed.npz", std::ios::binary);
  const std::string whole((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  ASSERT_GT(whole.size(), 1000u);
  for (std::size_t bytes = 0; bytes < whole.size(); bytes += 7) {
    EXPECT_NE(sentence_of(written("cut.npz", whole.substr(0, bytes))), "") << bytes;
  }
  for (std::size_t flipped = 0; flipped < whole.size(); flipped += 5) {
    std::string damaged = whole;
    damaged[flipped] = static_cast<char>(damaged[flipped] ^ 0x55);
    sentence_of(written("damaged.npz", damaged));
  }
}

}  // namespace
}  // namespace packproof
