#include "fixtures/seal.h"
#include "harness/golden/diff.h"
#include "harness/golden/record.h"
#include "harness/golden/verify.h"
#include "harness/oracle/row_map.h"
#include "harness/run/toy_reference.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace packproof {
namespace {

namespace fs = std::filesystem;

constexpr const char* kCase = "op=gated_rms_norm dtype=f32 lens=2,3 seed=1";
const GoldenStamp kStamp{"0.1.0", "first values", "2026-08-17"};

class GoldenFile : public ::testing::Test {
 protected:
  void SetUp() override {
    // A folder per test: tests of one program may run side by side.
    folder_ = fs::path(::testing::TempDir()) /
              (std::string("packproof_golden_") +
               ::testing::UnitTest::GetInstance()->current_test_info()->name());
    fs::create_directories(folder_ / "model");
    std::ofstream(folder_ / "model" / "config.json") << "{}";
  }

  void TearDown() override { fs::remove_all(folder_); }

  fs::path path(const std::string& name = "golden.h5") const { return folder_ / name; }

  Status record(Candidate& candidate, const std::string& name = "golden.h5",
                const GoldenStamp& stamp = kStamp) const {
    return record_golden(kCase, candidate, reference_, stamp, path(name));
  }

  GoldenSubjects subjects(Candidate& candidate) const {
    return {[&candidate]() -> Result<Candidate*> { return &candidate; },
            [this]() -> Result<const reference::Reference*> { return &reference_; },
            {}};
  }

  CheckResult verify(Candidate& candidate) const {
    return verify_golden(path(), subjects(candidate));
  }

  toy::Reference reference_;
  fs::path folder_;
};

TEST_F(GoldenFile, KeepsWhatWasRecorded) {
  toy::Candidate candidate("id");
  const Status status = record(candidate);
  ASSERT_TRUE(status.ok()) << status.error().message;
  const Result<fixtures::Golden> golden = fixtures::read_golden(path());
  ASSERT_TRUE(golden.ok()) << golden.error().message;
  EXPECT_EQ(golden.value().case_line, kCase);
  EXPECT_EQ(golden.value().provenance.candidate, "toy 1");
  EXPECT_EQ(golden.value().provenance.variant, "plain");
  EXPECT_EQ(golden.value().provenance.reason, "first values");
  const fixtures::GoldenOutput& output = golden.value().outputs.at("output");
  EXPECT_GT(output.budget_used, 0.0);  // One rounding to f32.
  EXPECT_LE(output.budget_used, 1.0);
  EXPECT_EQ(output.values.numel() % static_cast<int64_t>(output.regions.size()), 0);
}

TEST_F(GoldenFile, SameBuildIsHeldToItsBits) {
  toy::Candidate candidate("id");
  ASSERT_TRUE(record(candidate).ok());
  EXPECT_EQ(verify(candidate).outcome, OutcomeKind::kPass);
  EXPECT_EQ(verify(candidate).detail, "bitwise equal");
  // Two units of f32: within the budget, but not the same bits.
  toy::Candidate drifted("id", 2.4e-7);
  const CheckResult result = verify(drifted);
  EXPECT_EQ(result.outcome, OutcomeKind::kFail);
  EXPECT_NE(result.detail.find("the same library on the same device gave other bits: output "
                               "'output', row "),
            std::string::npos)
      << result.detail;
}

TEST_F(GoldenFile, AnotherBuildIsHeldToTheRecordedBudget) {
  toy::Candidate candidate("id");
  ASSERT_TRUE(record(candidate).ok());
  toy::Candidate rebuilt("another id", 2.4e-7);
  EXPECT_EQ(verify(rebuilt).outcome, OutcomeKind::kPass) << verify(rebuilt).detail;
  EXPECT_GT(verify(rebuilt).budget_used, 0.0);
  // The toy's allowance is 2^-20 of the value and a rounding: 1e-5 is ten times too far.
  toy::Candidate wrong("another id", 1e-5);
  const CheckResult result = verify(wrong);
  EXPECT_EQ(result.outcome, OutcomeKind::kFail);
  EXPECT_GT(result.budget_used, 1.0);
  EXPECT_NE(result.detail.find("outside the recorded budget"), std::string::npos) << result.detail;
}

TEST_F(GoldenFile, IntegrityAloneStartsNothing) {
  toy::Candidate candidate("id");
  ASSERT_TRUE(record(candidate).ok());
  const GoldenSubjects nothing{
      []() -> Result<Candidate*> { return internal_error("asked for a candidate"); },
      []() -> Result<const reference::Reference*> { return internal_error("asked for one"); },
      {}};
  EXPECT_EQ(verify_golden(path(), nothing, {.integrity_only = true}).outcome, OutcomeKind::kPass);
  EXPECT_EQ(verify_golden(path(), nothing).outcome, OutcomeKind::kFail);
}

TEST_F(GoldenFile, DamageIsAFailureWithItsPlace) {
  toy::Candidate candidate("id");
  ASSERT_TRUE(record(candidate).ok());
  std::vector<std::byte> bytes = *fixtures::read_file(path());
  bytes[bytes.size() / 2] ^= std::byte{16};
  ASSERT_TRUE(fixtures::write_file(path(), bytes).ok());
  const CheckResult result = verify_golden(path(), subjects(candidate), {.integrity_only = true});
  EXPECT_EQ(result.outcome, OutcomeKind::kFail);
  EXPECT_NE(result.detail.find("the file is damaged"), std::string::npos) << result.detail;
}

TEST_F(GoldenFile, ChangedInputsAreNotCompared) {
  toy::Candidate candidate("id");
  ASSERT_TRUE(record(candidate).ok());
  fixtures::Golden golden = *fixtures::read_golden(path());
  golden.inputs_sha256[0] = golden.inputs_sha256[0] == '0' ? '1' : '0';
  ASSERT_TRUE(fixtures::write_golden(path(), golden).ok());
  const CheckResult result = verify(candidate);
  EXPECT_EQ(result.outcome, OutcomeKind::kFail);
  EXPECT_NE(result.detail.find("no longer those of the recording"), std::string::npos);
}

TEST_F(GoldenFile, OnlyConformingResultsAreRecorded) {
  toy::Candidate wrong("id", 1e-3);
  const Status status = record(wrong);
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.error().message.find("a golden must conform, output 'output' uses"),
            std::string::npos)
      << status.error().message;
  toy::Candidate candidate("id");
  const Status refused = record_golden("op=causal_conv1d dtype=f32 lens=2 seed=1", candidate,
                                       reference_, kStamp, path());
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().message.find("the toy evaluates gated_rms_norm only"),
            std::string::npos)
      << refused.error().message;
  EXPECT_FALSE(fs::exists(path()));
}

TEST_F(GoldenFile, RecordingNeverReplacesAFile) {
  toy::Candidate candidate("id");
  ASSERT_TRUE(record(candidate).ok());
  const Status again = record(candidate);
  ASSERT_FALSE(again.ok());
  EXPECT_NE(again.error().message.find("golden bless"), std::string::npos);
  EXPECT_FALSE(record_model_golden(folder_ / "model", reference_, kStamp, path()).ok());
}

TEST_F(GoldenFile, DiffShowsDriftPerRegionInUnitsOfTheBudget) {
  toy::Candidate candidate("id");
  toy::Candidate drifted("another", 1e-7);
  toy::Candidate far("another", 8e-7);
  ASSERT_TRUE(record(candidate, "a.h5").ok());
  ASSERT_TRUE(record(drifted, "b.h5").ok());
  ASSERT_TRUE(record(far, "c.h5").ok());
  const Result<GoldenDiff> none = diff_goldens(path("a.h5"), path("a.h5"));
  ASSERT_TRUE(none.ok()) << none.error().message;
  EXPECT_EQ(none.value().outputs.front().different, 0);
  EXPECT_NE(diff_table(*none).find("output: bitwise equal"), std::string::npos);
  const Result<GoldenDiff> some = diff_goldens(path("a.h5"), path("b.h5"));
  const Result<GoldenDiff> more = diff_goldens(path("a.h5"), path("c.h5"));
  ASSERT_TRUE(some.ok() && more.ok());
  EXPECT_TRUE(some.value().within());
  EXPECT_GT(some.value().outputs.front().worst, 0.0);
  EXPECT_GT(more.value().outputs.front().worst, some.value().outputs.front().worst);
  for (const auto& [region, spread] : some.value().outputs.front().regions) {
    EXPECT_LE(spread.median, spread.p99);
    EXPECT_LE(spread.p99, spread.worst);
    EXPECT_GT(spread.elements, 0);
  }
  EXPECT_NE(diff_table(*some).find("within tolerance"), std::string::npos) << diff_table(*some);
}

TEST_F(GoldenFile, DiffRefusesOtherCases) {
  toy::Candidate candidate("id");
  ASSERT_TRUE(record(candidate, "a.h5").ok());
  ASSERT_TRUE(record_golden("op=gated_rms_norm dtype=f32 lens=4 seed=1", candidate, reference_,
                            kStamp, path("b.h5"))
                  .ok());
  EXPECT_FALSE(diff_goldens(path("a.h5"), path("b.h5")).ok());
}

TEST_F(GoldenFile, BlessReplacesValuesAndAsksForAReason) {
  toy::Candidate candidate("id");
  ASSERT_TRUE(record(candidate).ok());
  toy::Candidate next("next id", 2.4e-7);
  EXPECT_FALSE(bless_golden(path(), subjects(next), {"0.1.0", " ", ""}).ok());
  EXPECT_EQ(verify(candidate).detail, "bitwise equal");
  const Status status = bless_golden(path(), subjects(next), {"0.1.0", "faster norm", ""});
  ASSERT_TRUE(status.ok()) << status.error().message;
  EXPECT_EQ(verify(next).detail, "bitwise equal");
  const fixtures::Golden golden = *fixtures::read_golden(path());
  EXPECT_EQ(golden.provenance.reason, "faster norm");
  EXPECT_EQ(golden.provenance.date.size(), 10U);
}

TEST_F(GoldenFile, OfAModelFollowsTheCheckpoint) {
  ASSERT_TRUE(record_model_golden(folder_ / "model", reference_, kStamp, path()).ok());
  toy::Candidate unused("id");
  const CheckResult result = verify(unused);
  EXPECT_EQ(result.outcome, OutcomeKind::kPass) << result.detail;
  EXPECT_NE(fixtures::read_golden(path()).value().case_line.find("model=model lens="),
            std::string::npos);
  // 1e-11 of the value is ten times the forward bar.
  const toy::Reference off(1e-11);
  GoldenSubjects others = subjects(unused);
  others.reference = [&off]() -> Result<const reference::Reference*> { return &off; };
  EXPECT_EQ(verify_golden(path(), others).outcome, OutcomeKind::kFail);
  std::ofstream(folder_ / "model" / "config.json") << "{ }";
  EXPECT_NE(verify(unused).detail.find("no longer those of the recording"), std::string::npos);
}

TEST(GoldenRegions, AreNumberedLikeTheRegionsOfRows) {
  for (int32_t region = 0; region < static_cast<int32_t>(std::size(fixtures::kGoldenRegions));
       ++region)
    EXPECT_EQ(name_of(static_cast<Region>(region)), fixtures::kGoldenRegions[region]);
  EXPECT_EQ(static_cast<std::size_t>(Region::kShared) + 1, std::size(fixtures::kGoldenRegions));
}

TEST(CleanTree, IsDemandedForABlessing) {
  const fs::path folder = fs::path(::testing::TempDir()) / "packproof_clean_tree";
  fs::remove_all(folder);
  fs::create_directories(folder);
  EXPECT_FALSE(require_clean_tree(folder / "none").ok());
  const std::string git = "git -C " + folder.string() + " ";
  ASSERT_EQ(std::system((git + "init -q").c_str()), 0);
  EXPECT_TRUE(require_clean_tree(folder).ok());
  std::ofstream(folder / "new.txt") << "x";
  const Status dirty = require_clean_tree(folder);
  ASSERT_FALSE(dirty.ok());
  EXPECT_EQ(dirty.error().message,
            "blessing needs a clean git tree, found '?? new.txt': commit or remove changes first");
  fs::remove_all(folder);
}

TEST(VerifyTable, CountsFilesInWords) {
  const VerifiedFile file{"a.h5", {}};
  EXPECT_NE(verify_table({file}).find("1 golden file:"), std::string::npos);
  EXPECT_NE(verify_table({file, file}).find("2 golden files:"), std::string::npos);
}

}  // namespace
}  // namespace packproof
