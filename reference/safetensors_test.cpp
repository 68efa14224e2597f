#include "reference/safetensors.h"

#include "reference/checkpoint_test_support.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sys/stat.h>

namespace packproof::reference {
namespace {

class SafetensorsTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) /
              (std::string("packproof_safetensors_") + info->name());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    file_ = folder_ / "model.safetensors";
  }

  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// What opening a file of these bytes says, without the file's name.
  std::string refusal_of_bytes(const std::string& bytes) {
    write_file(file_, bytes);
    const auto opened = SafetensorsFile::open(file_);
    if (opened.ok()) return "accepted";
    EXPECT_EQ(opened.error().message.find(file_.string() + ": "), 0u) << opened.error().message;
    return opened.error().message.substr(file_.string().size() + 2);
  }

  std::string refusal_of(const std::string& header, std::size_t data_bytes) {
    return refusal_of_bytes(stored_file(header, std::string(data_bytes, '\0')));
  }

  std::filesystem::path folder_;
  std::filesystem::path file_;
};

TEST_F(SafetensorsTest, WidensEveryFloatingDtypeExactly) {
  // 1.5, -2 and the largest subnormal or a NaN, in each format's bits.
  const std::string data = words<uint16_t>({0x3E00, 0xC000, 0x03FF}) +       // F16
                           words<uint16_t>({0x3FC0, 0xC000, 0x7FC0}) +       // BF16
                           words<uint32_t>({0x3FC00000, 0xC0000000, 0x1}) +  // F32
                           words<double>({1.5, -2.0, 5e-324});               // F64
  write_file(file_, stored_file(R"({"__metadata__": {"format": "pt"},
      "h": {"dtype": "F16", "shape": [3], "data_offsets": [0, 6]},
      "b": {"dtype": "BF16", "shape": [3], "data_offsets": [6, 12]},
      "s": {"dtype": "F32", "shape": [1, 3], "data_offsets": [12, 24]},
      "d": {"dtype": "F64", "shape": [3, 1], "data_offsets": [24, 48]}})",
                                data));
  const auto file = SafetensorsFile::open(file_);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->tensors().size(), 4u);
  const std::vector<std::pair<std::string, double>> last{
      {"h", 1023.0 / 16777216.0}, {"b", std::nan("")}, {"s", 1.401298464324817e-45}, {"d", 5e-324}};
  for (const auto& [name, value] : last) {
    const auto tensor = file->read(name);
    ASSERT_TRUE(tensor.ok()) << tensor.error().message;
    EXPECT_EQ(tensor->dtype(), DType::kF64);
    EXPECT_EQ(tensor->at(0), 1.5) << name;
    EXPECT_EQ(tensor->at(1), -2.0) << name;
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(tensor->at(2))) << name;
    } else {
      EXPECT_EQ(tensor->at(2), value) << name;
    }
  }
  EXPECT_EQ(file->read("s")->shape(), (std::vector<int64_t>{1, 3}));
}

TEST_F(SafetensorsTest, ToleratesOtherDtypesUntilTheyAreRead) {
  write_file(file_, stored_file(R"({"n": {"dtype": "I64", "shape": [], "data_offsets": [0, 8]},
      "e": {"dtype": "F32", "shape": [0, 4], "data_offsets": [8, 8]},
      "q": {"dtype": "F4", "shape": [2, 2], "data_offsets": [8, 10]}})",
                                std::string(10, '\0')));
  const auto file = SafetensorsFile::open(file_);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_TRUE(file->read("e").ok());
  const auto refused = file->read("n");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().message,
            file_.string() +
                ": tensor 'n': expected dtype F64, F32, F16 or BF16 for a weight, found I64");
}

TEST_F(SafetensorsTest, SaysWhatIsWrongWithAHeader) {
  struct Row {
    const char* header;
    std::size_t data;
    const char* expected;
  };

  const std::vector<Row> rows{
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})",
       8, "header: expected JSON with every key once, found the key \"a\" twice"},
      {R"({"a": {"dtype": "F32", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", 8,
       "header: expected JSON with every key once, found the key \"dtype\" twice"},
      {R"([])", 0, "expected a JSON object as header, found []"},
      {R"({"a": [1]})", 0,
       "tensor 'a': expected an object with dtype, shape and data_offsets, found [1]"},
      {R"({"a": {"dtype": "F32", "shape": [2]}})", 8,
       "tensor 'a': expected an object with dtype, shape and data_offsets, found "
       R"({"dtype":"F32","shape":[2]})"},
      {R"({"a": {"dtype": "F33", "shape": [2], "data_offsets": [0, 8]}})", 8,
       "tensor 'a': expected a dtype of the safetensors format, found \"F33\""},
      {R"({"a": {"dtype": 32, "shape": [2], "data_offsets": [0, 8]}})", 8,
       "tensor 'a': expected a dtype of the safetensors format, found 32"},
      {R"({"a": {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]}})", 8,
       "tensor 'a': expected a shape of at most 8 integers of at least 0, found [-2]"},
      {R"({"a": {"dtype": "F32", "shape": 2, "data_offsets": [0, 8]}})", 8,
       "tensor 'a': expected a shape of at most 8 integers of at least 0, found 2"},
      {R"({"a": {"dtype": "F32", "shape": [1,1,1,1,1,1,1,1,1], "data_offsets": [0, 4]}})", 4,
       "tensor 'a': expected a shape of at most 8 integers of at least 0, found "
       "[1,1,1,1,1,1,1,1,1]"},
      {R"({"a": {"dtype": "F32", "shape": [4611686018427387904, 4], "data_offsets": [0, 8]}})", 8,
       "tensor 'a': expected a shape whose size fits in 64 bits, found [4611686018427387904, 4]"},
      {R"({"a": {"dtype": "F32", "shape": [4611686018427387905], "data_offsets": [0, 4]}})", 4,
       "tensor 'a': expected a shape whose size fits in 64 bits, found [4611686018427387905]"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8, 9]}})", 8,
       "tensor 'a': expected data_offsets of two byte positions, found [0,8,9]"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}})", 8,
       "tensor 'a': expected data_offsets of two byte positions, found [-8,0]"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0.0, 8]}})", 8,
       "tensor 'a': expected data_offsets of two byte positions, found [0.0,8]"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]}})", 8,
       "tensor 'a': expected data_offsets within the file's 8 bytes of data, found [8,0]"},
      {R"({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}})", 8,
       "tensor 'a': expected data_offsets within the file's 8 bytes of data, found [0,12]"},
      {R"({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}})", 8,
       "tensor 'a': expected 12 bytes for dtype F32 and shape [3], found 8 in data_offsets"},
      {R"({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 1]}})", 1,
       "tensor 'a': expected whole bytes of elements, found [3]"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
          "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}})",
       12,
       "tensor 'b': expected data that begin at byte 8, where the tensor before it ends, found "
       "byte 4 (an overlap)"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
          "b": {"dtype": "F32", "shape": [1], "data_offsets": [12, 16]}})",
       16,
       "tensor 'b': expected data that begin at byte 8, where the tensor before it ends, found "
       "byte 12 (a hole)"},
      {R"({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}})", 8,
       "tensor 'a': expected data that begin at byte 0, where the tensor before it ends, found "
       "byte 4 (a hole)"},
      {R"({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})", 12,
       "expected 8 bytes of data as the header describes, found 12"},
      {R"({})", 3, "expected 0 bytes of data as the header describes, found 3"},
      {R"({"a\nb": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}})", 0,
       "expected tensor names of 1 to 256 printable characters, found \"a\\nb\""},
      {R"({"": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}})", 0,
       "expected tensor names of 1 to 256 printable characters, found \"\""},
      {R"({"a": )", 0, "header: expected JSON with every key once, found something else at byte 7"},
  };
  for (const Row& row : rows) EXPECT_EQ(refusal_of(row.header, row.data), row.expected);
  EXPECT_EQ(refusal_of("{}   ", 0), "accepted");
}

TEST_F(SafetensorsTest, SaysWhatIsWrongWithAFile) {
  EXPECT_EQ(refusal_of_bytes(""), "expected 8 bytes with the header's length, found 0 bytes");
  EXPECT_EQ(refusal_of_bytes("1234567"),
            "expected 8 bytes with the header's length, found 7 bytes");
  EXPECT_EQ(refusal_of_bytes(words<uint64_t>({100'000'001}) + "{}"),
            "expected a header of at most 100000000 bytes, found a length of 100000001");
  EXPECT_EQ(refusal_of_bytes(words<uint64_t>({~uint64_t{0}}) + "{}"),
            "expected a header of at most 100000000 bytes, found a length of "
            "18446744073709551615");
  EXPECT_EQ(refusal_of_bytes(words<uint64_t>({3}) + "{}"),
            "expected a header of 3 bytes, found 2 bytes before the end of the file");
}

TEST_F(SafetensorsTest, RefusesWhatIsNotAFile) {
  const auto refusal = [](const std::filesystem::path& path) {
    const auto file = SafetensorsFile::open(path);
    return file.ok() ? std::string("accepted") : file.error().message;
  };
  EXPECT_EQ(refusal(folder_), folder_.string() + ": expected a regular file, found a folder");
  EXPECT_EQ(refusal("/dev/null"), "/dev/null: expected a regular file, found a device or socket");
  EXPECT_EQ(refusal(folder_ / "none"), (folder_ / "none").string() +
                                           ": expected a readable file, found: No such file or "
                                           "directory");
  const std::filesystem::path pipe = folder_ / "pipe";
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(refusal(pipe), pipe.string() + ": expected a regular file, found a pipe");
}

TEST_F(SafetensorsTest, NoticesAFileThatShrinksAfterItWasOpened) {
  write_file(file_, stored_file(R"({"a": {"dtype": "F64", "shape": [4], "data_offsets": [0, 32]}})",
                                std::string(32, '\0')));
  const auto file = SafetensorsFile::open(file_);
  ASSERT_TRUE(file.ok()) << file.error().message;
  std::filesystem::resize_file(file_, std::filesystem::file_size(file_) - 8);
  const auto tensor = file->read("a");
  ASSERT_FALSE(tensor.ok());
  EXPECT_NE(tensor.error().message.find("found the end of the file"), std::string::npos);
}

TEST_F(SafetensorsTest, ReadsTextFilesUpToALimit) {
  write_file(file_, "12345");
  EXPECT_EQ(*read_text_file(file_, 5), "12345");
  EXPECT_EQ(read_text_file(file_, 4).error().message,
            file_.string() + ": expected at most 4 bytes, found 5");
}

}  // namespace
}  // namespace packproof::reference
