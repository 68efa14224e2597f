// Whatever happens to the bytes of a checkpoint, loading it ends in tensors or in one sentence.

#include "harness/core/random_stream.h"
#include "reference/checkpoint.h"
#include "reference/checkpoint_test_support.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

class CheckpointDamageTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) /
              (std::string("packproof_damage_") + info->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::copy(PACKPROOF_SOURCE_DIR "/fixtures/oracle/models/dense_r3", folder_);
    file_ = folder_ / "model.safetensors";
    bytes_ = read_file(file_);
    for (std::size_t i = 8; i-- > 0;) {
      header_size_ = header_size_ << 8 | static_cast<unsigned char>(bytes_[i]);
    }
    const auto config = load_model_config(folder_);
    ASSERT_TRUE(config.ok()) << config.error().message;
    config_ = *config;
  }

  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// The sentence that refuses a file of `bytes`, or nothing.
  std::string refusal_of(std::string_view bytes) {
    write_file(file_, bytes);
    const auto loaded = load_checkpoint(folder_, config_, nullptr);
    return loaded.ok() ? std::string() : loaded.error().message;
  }

  /// The same for a file whose header alone is another one of equal length.
  std::string refusal_of_header(const std::string& bytes) {
    std::fstream(file_, std::ios::binary | std::ios::in | std::ios::out)
        .write(bytes.data(), static_cast<std::streamsize>(8 + header_size_));
    const auto loaded = load_checkpoint(folder_, config_, nullptr);
    return loaded.ok() ? std::string() : loaded.error().message;
  }

  static void expect_one_sentence(const std::string& refusal) {
    EXPECT_NE(refusal.find("expected"), std::string::npos) << refusal;
    EXPECT_NE(refusal.find("found"), std::string::npos) << refusal;
    EXPECT_EQ(refusal.find('\n'), std::string::npos) << refusal;
    EXPECT_LT(refusal.size(), 2000u) << refusal;
  }

  std::filesystem::path folder_;
  std::filesystem::path file_;
  std::string bytes_;
  std::size_t header_size_ = 0;
  ModelConfig config_;
};

TEST_F(CheckpointDamageTest, EveryTruncationIsRefused) {
  ASSERT_EQ(refusal_of(bytes_), "");
  std::vector<std::size_t> sizes;
  for (std::size_t size = 0; size < 64; ++size) sizes.push_back(size);
  for (std::size_t size = 64; size < 8 + header_size_; size += 61) sizes.push_back(size);
  for (std::size_t off = 0; off < 16; ++off) sizes.push_back(8 + header_size_ - 8 + off);
  for (std::size_t size = 8 + header_size_; size < bytes_.size(); size += 20011) {
    sizes.push_back(size);
  }
  for (std::size_t cut = 1; cut <= 9; ++cut) sizes.push_back(bytes_.size() - cut);
  for (const std::size_t size : sizes) {
    const std::string refusal = refusal_of(std::string_view(bytes_).substr(0, size));
    ASSERT_NE(refusal, "") << "cut to " << size << " bytes";
    expect_one_sentence(refusal);
  }
  expect_one_sentence(refusal_of(bytes_ + "x"));
}

TEST_F(CheckpointDamageTest, FlippedHeaderBitsNeverCrash) {
  const RandomStream stream(7, "header bits");
  int64_t refused = 0;
  constexpr int64_t kTries = 600;
  for (int64_t i = 0; i < kTries; ++i) {
    std::string damaged = bytes_.substr(0, 8 + header_size_);
    const int64_t flips = stream.at(i).at(-1).integer(1, 3);
    for (int64_t flip = 0; flip < flips; ++flip) {
      const auto place = static_cast<std::size_t>(
          stream.at(i).at(flip).at(0).integer(0, static_cast<int64_t>(8 + header_size_) - 1));
      damaged[place] =
          static_cast<char>(damaged[place] ^ (1 << stream.at(i).at(flip).at(1).integer(0, 7)));
    }
    const std::string refusal = refusal_of_header(damaged);
    if (refusal.empty()) continue;
    ++refused;
    expect_one_sentence(refusal);
  }
  // Only the metadata and spaces bear no meaning: 40 of 5,768 bytes, so 99 in 100 flips are seen.
  EXPECT_GT(refused, kTries * 9 / 10);
}

TEST_F(CheckpointDamageTest, ReplacedHeaderBytesNeverCrash) {
  const RandomStream stream(8, "header bytes");
  constexpr std::string_view kTelling = "\"{}[],:0123456789-.eE\\\x00\xFF";
  for (int64_t i = 0; i < 400; ++i) {
    std::string damaged = bytes_.substr(0, 8 + header_size_);
    const auto place = static_cast<std::size_t>(
        stream.at(i).at(0).integer(8, static_cast<int64_t>(8 + header_size_) - 1));
    damaged[place] = kTelling[static_cast<std::size_t>(
        stream.at(i).at(1).integer(0, static_cast<int64_t>(kTelling.size()) - 1))];
    const std::string refusal = refusal_of_header(damaged);
    if (!refusal.empty()) expect_one_sentence(refusal);
  }
}

TEST_F(CheckpointDamageTest, DamagedConfigurationsNeverCrash) {
  const std::string text = read_file(folder_ / "config.json");
  for (std::size_t size = 0; size + 2 < text.size(); ++size) {
    const auto config = parse_model_config(text.substr(0, size), "config.json");
    ASSERT_FALSE(config.ok()) << size;
    expect_one_sentence(config.error().message);
  }
  const RandomStream stream(9, "config bits");
  for (int64_t i = 0; i < 2000; ++i) {
    std::string damaged = text;
    const auto place = static_cast<std::size_t>(
        stream.at(i).at(0).integer(0, static_cast<int64_t>(text.size()) - 1));
    damaged[place] = static_cast<char>(damaged[place] ^ (1 << stream.at(i).at(1).integer(0, 7)));
    const auto config = parse_model_config(damaged, "config.json");
    if (!config.ok()) expect_one_sentence(config.error().message);
  }
}

TEST_F(CheckpointDamageTest, AValueThatIsNotFiniteIsNamedWithItsPlace) {
  const std::string nan = words<uint32_t>({0x7FC00000});
  std::string damaged = bytes_;
  damaged.replace(damaged.size() - 4, 4, nan);
  EXPECT_EQ(refusal_of(damaged), folder_.string() +
                                     ": tensor 'model.norm.weight': expected finite values, "
                                     "found NaN at [39]");
  damaged = bytes_;
  damaged.replace(8 + header_size_ + 4 * (2 * 40 + 3), 4, words<uint32_t>({0xFF800000}));
  EXPECT_EQ(refusal_of(damaged), folder_.string() +
                                     ": tensor 'lm_head.weight': expected finite values, found "
                                     "infinity at [2, 3]");
}

}  // namespace
}  // namespace packproof::reference
