#include "harness/truth/walk.h"

#include "fixtures/hdf5_file.h"
#include "fixtures/seal.h"
#include "harness/core/sha256.h"
#include "harness/run/toy_reference.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace packproof {
namespace {

namespace fs = std::filesystem;

/// A folder with one toy model whose case file holds right values.
class OracleWalk : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) /
              (std::string("packproof_oracle_") +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "cases");
    fs::create_directories(folder_ / "models" / "toy");
    const std::vector<int64_t> lens{2, 3};
    const std::vector<int64_t> ids{4, 1, 0, 2, 2};
    content_.attributes["transformers"] = "9.9";
    content_.datasets["edges/lens"] = Tensor::from_ints(DType::kI64, {2}, lens);
    content_.datasets["edges/input_ids"] = Tensor::from_ints(DType::kI64, {5}, ids);
    // Running sums of id + 1 within each sequence: 5, 7 and 1, 4, 7.
    const std::vector<double> logits{5, 10, 15, 7, 14, 21, 1, 2, 3, 4, 8, 12, 7, 14, 21};
    const std::vector<double> sums{7, 7};
    for (const std::string group : {"edges/padded_left/", "edges/padded_right/"})
      content_.datasets[group + "logits_at_valid_tokens"] =
          Tensor::from_doubles(DType::kF64, {5, 3}, logits);
    content_.datasets["edges/alone/logits"] = Tensor::from_doubles(DType::kF64, {5, 3}, logits);
    content_.datasets["edges/alone/recurrent_state/00"] =
        Tensor::from_doubles(DType::kF64, {2, 1, 1, 1}, sums);
  }

  void TearDown() override { fs::remove_all(folder_); }

  Result<OracleReport> walk(const reference::Reference& reference = toy::Reference()) {
    EXPECT_TRUE(fixtures::write_sealed(folder_ / "cases" / "toy.h5", content_).ok());
    return walk_oracle(folder_, {&reference});
  }

  static std::vector<OracleRow> rows_of(const OracleReport& report, const std::string& tensor) {
    std::vector<OracleRow> rows;
    std::copy_if(report.rows.begin(), report.rows.end(), std::back_inserter(rows),
                 [&](const OracleRow& row) { return row.tensor == tensor; });
    return rows;
  }

  fs::path folder_;
  fixtures::Hdf5Content content_;
};

TEST_F(OracleWalk, ComparesEveryLayoutWithTheSameTruth) {
  const Result<OracleReport> report = walk();
  ASSERT_TRUE(report.ok()) << report.error().message;
  EXPECT_TRUE(report.value().conforms()) << oracle_table(*report);
  const std::vector<OracleRow> logits = rows_of(*report, "edges/alone/logits");
  ASSERT_EQ(logits.size(), 2U);
  EXPECT_EQ(logits[0].way, "alone");
  EXPECT_EQ(logits[1].way, "packed");
  EXPECT_EQ(rows_of(*report, "edges/alone/recurrent_state/00").size(), 2U);
  EXPECT_EQ(rows_of(*report, "edges/padded_left/logits_at_valid_tokens").size(), 1U);
  ASSERT_EQ(report.value().files.size(), 1U);
  EXPECT_EQ(report.value().files[0].inputs, 2);
  EXPECT_EQ(report.value().files[0].truths, 4);
  EXPECT_EQ(report.value().files[0].compared, 4);
  const std::string table = oracle_table(*report);
  EXPECT_NE(table.find("results compared: 4 of 4 in 6 comparisons, 0 above, 0 skipped"),
            std::string::npos)
      << table;
  EXPECT_NE(table.find("computed with transformers 9.9"), std::string::npos);
}

TEST_F(OracleWalk, SeesAnErrorJustAboveItsBar) {
  const toy::Reference at_the_bar(0.9 * kForwardBar);
  EXPECT_TRUE(walk(at_the_bar).value().conforms());
  const toy::Reference above(1.1 * kForwardBar);
  const Result<OracleReport> report = walk(above);
  ASSERT_TRUE(report.ok());
  EXPECT_FALSE(report.value().conforms());
  EXPECT_EQ(report.value().count(OracleStatus::kAbove), 4);
  EXPECT_NEAR(rows_of(*report, "edges/alone/logits")[0].error / kForwardBar, 1.1, 0.01);
  EXPECT_NE(oracle_table(*report).find("does NOT agree"), std::string::npos);
}

TEST_F(OracleWalk, NeverTakesANumberThatIsNoneForAgreement) {
  content_.datasets["edges/alone/logits"].set(7, std::nan(""));
  const Result<OracleReport> report = walk();
  ASSERT_TRUE(report.ok());
  for (const OracleRow& row : rows_of(*report, "edges/alone/logits"))
    EXPECT_EQ(row.status, OracleStatus::kAbove);
}

TEST_F(OracleWalk, NamesOtherShapes) {
  content_.datasets["edges/alone/logits"] = Tensor(DType::kF64, {5, 4});
  const Result<OracleReport> report = walk();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(rows_of(*report, "edges/alone/logits")[0].note, "stored shape [5, 4], computed [5, 3]");
  EXPECT_FALSE(report.value().conforms());
}

TEST_F(OracleWalk, ListsWhatNothingComputes) {
  content_.datasets["edges/alone/attention_maps/00"] = Tensor(DType::kF64, {3});
  content_.datasets["later/invention"] = Tensor(DType::kF64, {3});
  const Result<OracleReport> report = walk();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report.value().count(OracleStatus::kSkipped), 2);
  EXPECT_FALSE(report.value().conforms());
  const std::string table = oracle_table(*report);
  EXPECT_NE(table.find("edges/alone/attention_maps"), std::string::npos) << table;
  EXPECT_NE(table.find("no computation of packproof yields a tensor of this name"),
            std::string::npos);
}

TEST_F(OracleWalk, SkipsWithTheReferencesOwnSentence) {
  content_.datasets["edges/labels"] = Tensor(DType::kI64, {5});
  content_.datasets["edges/padded_left/loss"] = Tensor(DType::kF64, {});
  content_.datasets["cached/input_ids"] = Tensor(DType::kI64, {2, 4});
  content_.datasets["cached/segments"] =
      Tensor::from_ints(DType::kI64, {1}, std::vector<int64_t>{4});
  content_.datasets["cached/logits"] = Tensor(DType::kF64, {2, 4, 3});
  const Result<OracleReport> report = walk();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(rows_of(*report, "edges/padded_left/loss")[0].note, "the toy has no gradients");
  EXPECT_EQ(rows_of(*report, "cached/logits")[0].note, "the toy keeps no cache");
  EXPECT_FALSE(report.value().conforms());
}

TEST_F(OracleWalk, RefusesBrokenInputsByName) {
  content_.datasets["edges/lens"].set_int(1, 4);
  const Result<OracleReport> report = walk();
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(rows_of(*report, "edges/alone/logits")[0].note,
            "edges: expected 6 token ids and labels, found 5");
}

TEST_F(OracleWalk, RefusesFoldersWithoutCases) {
  EXPECT_EQ(walk_oracle("/no/such/folder", {}).error().code, Code::kUsage);
  EXPECT_EQ(walk_oracle(folder_, {}).error().message,
            folder_.string() + ": expected files cases/*.h5, found none");
}

TEST_F(OracleWalk, ChecksListedSumsFirst) {
  ASSERT_TRUE(walk().ok());
  const std::string sum = *sha256_of_file((folder_ / "cases/toy.h5").string());
  std::ofstream(folder_ / "SHA256SUMS") << sum << "  cases/toy.h5\n";
  const Result<OracleReport> good = walk();
  ASSERT_TRUE(good.ok()) << good.error().message;
  EXPECT_EQ(good.value().notes.front(), "1 files match their SHA256SUMS");
  std::ofstream(folder_ / "SHA256SUMS") << std::string(64, '0') << "  cases/toy.h5\n";
  const Result<OracleReport> bad = walk();
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.error().message.find("cases/toy.h5: expected SHA-256 000"), std::string::npos)
      << bad.error().message;
}

TEST_F(OracleWalk, NamesADamagedFile) {
  ASSERT_TRUE(walk().ok());
  ASSERT_TRUE(fixtures::write_file(folder_ / "cases" / "ops.h5", {}).ok());
  const Result<OracleReport> report = walk();
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().message,
            (folder_ / "cases" / "ops.h5").string() + ": expected an HDF5 file, found no bytes");
}

}  // namespace
}  // namespace packproof
