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

std::string complete_npz() {
  std::ifstream file(kFolder / "complete.npz", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Another text of the same length wherever one stands.
std::string replaced(std::string bytes, const std::string& text, const std::string& by) {
  EXPECT_NE(bytes.find(text), std::string::npos);
  for (std::size_t at = 0; (at = bytes.find(text, at)) != std::string::npos;) {
    bytes.replace(at, text.size(), by);
  }
  return bytes;
}

// The last of two would win without a word, and with it the boundaries that it gives.
TEST(Batch, RefusesAKeyThatStandsTwice) {
  for (const char* json : {R"({"seq_idx": [[0, 1]], "input_ids": [[1, 2]], "seq_idx": [[0, 0]]})",
                           R"({"input_ids": [[1]], "metadata": [{"seq_idx": 1, "seq_idx": 2}]})"}) {
    EXPECT_NE(sentence_of(written("twice.json", json))
                  .find(R"(twice.json: expected every key once, found "seq_idx" twice)"),
              std::string::npos);
  }
  EXPECT_EQ(sentence_of(
                written("once.json", R"({"input_ids": [[1]], "metadata": [{"a": 1}, {"a": 2}]})")),
            "");
  const std::string twice = replaced(complete_npz(), "cu_seq_lens_k.npy", "cu_seq_lens_q.npy");
  EXPECT_NE(sentence_of(written("twice.npz", twice))
                .find("expected every array once, found 'cu_seq_lens_q' twice"),
            std::string::npos);
}

// What is left out must not be what says where sequences begin.
TEST(Batch, RefusesBoundariesThatAreNoIntegers) {
  EXPECT_NE(sentence_of(written("text.json", R"({"input_ids": [[1, 2]], "seq_idx": "0 1"})"))
                .find("'seq_idx': expected integers, found another type"),
            std::string::npos);
  EXPECT_NE(sentence_of(written("floats.npz", replaced(complete_npz(), "'<i4'", "'<f4'")))
                .find("expected integers, found another type"),
            std::string::npos);
  EXPECT_EQ(sentence_of(written("none.json", R"({"input_ids": [[1, 2]], "seq_idx": null})")), "");
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
