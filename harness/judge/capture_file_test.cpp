#include "harness/judge/capture_file.h"

#include "fixtures/seal.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

namespace packproof {
namespace {

namespace fs = std::filesystem;

fixtures::Hdf5Content sample() {
  fixtures::Hdf5Content content;
  content.attributes = {{"format", "packproof capture"},
                        {"version", "1"},
                        {"torch", "2.11.0"},
                        {"not_recorded", "3"}};
  content.object_attributes["calls/00007"] = {
      {"op", "causal_conv1d"}, {"function", "causal_conv1d:causal_conv1d_fn"},
      {"layer", "2"},          {"inputs.activation", "silu"},
      {"inputs.bias", "none"}, {"inputs.flag", "0"}};
  content.datasets["batch/position_ids"] = Tensor(DType::kI64, {1, 3});
  content.datasets["calls/00007/inputs/x"] = Tensor(DType::kF32, {1, 4, 3});
  content.datasets["calls/00007/outputs/output"] = Tensor(DType::kF32, {1, 4, 3});
  content.datasets["calls/00007/gradients/d_x"] = Tensor(DType::kF32, {1, 4, 3});
  content.object_attributes["calls/00007/inputs/x"] = {{"device", "cuda:0"}};
  return content;
}

class CaptureFile : public ::testing::Test {
 protected:
  void SetUp() override {
    path_ = fs::path(::testing::TempDir()) /
            (std::string("packproof_capture_") +
             ::testing::UnitTest::GetInstance()->current_test_info()->name() + ".h5");
  }

  void TearDown() override { fs::remove(path_); }

  fs::path path_;
};

std::string failure(const Result<Capture>& result) {
  return result.ok() ? "no error" : result.error().message;
}

TEST_F(CaptureFile, GivesCallsAndBatch) {
  ASSERT_TRUE(fixtures::write_sealed(path_, sample()).ok());
  const Result<Capture> read = read_capture(path_);
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->torch, "2.11.0");
  EXPECT_EQ(read->not_recorded, 3);
  EXPECT_EQ(read->batch.at("position_ids").shape(), (std::vector<int64_t>{1, 3}));
  ASSERT_EQ(read->calls.size(), 1U);
  const CapturedCall& call = read->calls[0];
  EXPECT_EQ(call.number, 7);
  EXPECT_EQ(call.op, "causal_conv1d");
  EXPECT_EQ(call.layer, 2);
  EXPECT_TRUE(call.on_gpu);
  EXPECT_EQ(call.scalar("activation", "none"), "silu");
  EXPECT_EQ(call.scalar("bias", "nothing"), "nothing");
  EXPECT_FALSE(call.is_set("flag"));
  EXPECT_TRUE(call.is_set("x"));
  EXPECT_TRUE(call.outputs.contains("output"));
  EXPECT_TRUE(call.gradients.contains("d_x"));
}

TEST_F(CaptureFile, ADamagedFileIsASentence) {
  ASSERT_TRUE(fixtures::write_sealed(path_, sample()).ok());
  fs::resize_file(path_, fs::file_size(path_) / 2);
  const Result<Capture> cut = read_capture(path_);
  ASSERT_FALSE(cut.ok());
  EXPECT_EQ(cut.error().code, Code::kInvalidInput);
  EXPECT_NE(failure(cut).find("not a readable HDF5 file"), std::string::npos) << failure(cut);
  std::ofstream(path_) << "position_ids: 0 1 2";
  EXPECT_EQ(read_capture(path_).error().code, Code::kInvalidInput);
}

TEST_F(CaptureFile, AMissingFileIsTheUsersToGive) {
  EXPECT_EQ(read_capture("/no/such/step.h5").error().code, Code::kUsage);
}

TEST_F(CaptureFile, AnotherFilesFormatIsNamed) {
  fixtures::Hdf5Content golden = sample();
  golden.attributes["format"] = "golden";
  EXPECT_NE(failure(capture_from(golden, "x.h5")).find("found format 'golden'"), std::string::npos);
  fixtures::Hdf5Content later = sample();
  later.attributes["version"] = "2";
  EXPECT_NE(failure(capture_from(later, "x.h5")).find("expected version 1"), std::string::npos);
}

TEST_F(CaptureFile, ATensorWithoutItsCallIsNamed) {
  fixtures::Hdf5Content content = sample();
  content.datasets["calls/00008/inputs/x"] = Tensor(DType::kF32, {1});
  EXPECT_NE(failure(capture_from(content, "x.h5")).find("'calls/00008/inputs/x'"),
            std::string::npos);
  content = sample();
  content.object_attributes["calls/00007"].erase("function");
  EXPECT_NE(failure(capture_from(content, "x.h5")).find("'calls/00007'"), std::string::npos);
}

}  // namespace
}  // namespace packproof
