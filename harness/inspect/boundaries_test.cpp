#include "harness/inspect/inspection.h"

#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

namespace packproof {
namespace {

Inspection inspected(const std::string& json) {
  // Tests of one binary run at the same time: a file for each.
  const std::string name = testing::UnitTest::GetInstance()->current_test_info()->name();
  const std::filesystem::path path = testing::TempDir() + "boundaries_" + name + ".json";
  std::ofstream(path) << json;
  std::vector<std::string> skipped;
  const Result<Batch> batch = read_batch(path, skipped);
  EXPECT_TRUE(batch.ok()) << (batch.ok() ? "" : batch.error().message);
  Result<Inspection> result = batch.ok() ? inspect(*batch) : batch.error();
  EXPECT_TRUE(result.ok()) << json;
  return result.ok() ? std::move(*result) : Inspection{};
}

/// One row of four tokens with more keys.
Inspection one_row(const std::string& keys) {
  return inspected(R"({"input_ids": [[1, 2, 3, 4]], )" + keys + "}");
}

Inspection two_rows(const std::string& keys) {
  return inspected(R"({"input_ids": [[1, 2, 3, 4], [5, 6, 7, 8]], )" + keys + "}");
}

/// Whether a sentence of `wrong` begins like this.
testing::AssertionResult is_wrong(const Inspection& found, const std::string& sentence) {
  const bool stands = std::ranges::any_of(
      found.problems, [&](const std::string& line) { return line.starts_with(sentence); });
  return (stands ? testing::AssertionSuccess() : testing::AssertionFailure())
         << inspection_text(found);
}

testing::AssertionResult is_safe(const Inspection& found) {
  return (found.safe() ? testing::AssertionSuccess() : testing::AssertionFailure())
         << inspection_text(found);
}

TEST(Boundaries, DamagedOffsetsAreWrong) {
  for (const std::string key : {"cu_seq_lens_q", "cu_seq_lens_k", "cu_seqlens"}) {
    const auto with = [&](const std::string& offsets) {
      return one_row("\"" + key + "\": " + offsets);
    };
    EXPECT_TRUE(is_wrong(with("[0, 2, 5]"), key + "[2]: expected at most 4 (the rows there are)"));
    EXPECT_TRUE(is_wrong(with("[0, 3, 2, 4]"), key + "[2]: expected at least 3 (the entry before"));
    EXPECT_TRUE(is_wrong(with("[1, 4]"), key + "[0]: expected 0, found 1"));
    EXPECT_TRUE(is_wrong(with("[]"), key + ": expected at least one entry, found none"));
    EXPECT_TRUE(is_wrong(with("[0, 3]"), key + "[1]: expected 4 (the end of the row), found 3"));
    EXPECT_TRUE(is_safe(with("[0, 4]")));
  }
}

TEST(Boundaries, DamagedIdsAreWrong) {
  EXPECT_TRUE(is_wrong(one_row(R"("seq_idx": [[0, 0, 1]])"),
                       "seq_idx: expected one id per token, shape [1, 4], found [1, 3]"));
  EXPECT_TRUE(is_wrong(one_row(R"("seq_idx": [[0, 0], [0, 0]])"),
                       "seq_idx: expected one id per token, shape [1, 4], found [2, 2]"));
  EXPECT_TRUE(is_wrong(one_row(R"("seq_idx": [[1, 1, 0, 0]])"),
                       "seq_idx[2]: expected an id of at least 1"));
  EXPECT_TRUE(is_wrong(one_row(R"("seq_idx": [[0, 0, 0, -1]])"),
                       "seq_idx[3]: expected an id of at least 0, found -1"));
  EXPECT_TRUE(is_safe(one_row(R"("seq_idx": [[0, 0, 0, 0]])")));
}

TEST(Boundaries, DamagedPositionsAreWrong) {
  const std::string expected = "position_ids: expected one position per token, shape [1, 4]";
  for (const char* positions :
       {"[[0, 1, 2]]", "[[0, 1, 2, 3], [0, 1, 2, 3]]", "[[0, 1], [2, 3]]", "[]", "7",
        "[[[0, 1, 2]], [[0, 1, 2]], [[0, 1, 2]]]", "[[[0, 1, 2, 3]], [[0, 1, 2, 3]]]"}) {
    EXPECT_TRUE(is_wrong(one_row(std::string(R"("position_ids": )") + positions), expected));
  }
  EXPECT_TRUE(is_wrong(two_rows(R"("position_ids": [[0, 1, 2], [0, 1, 2]])"),
                       "position_ids: expected one position per token, shape [2, 4]"));
  EXPECT_TRUE(is_safe(one_row(R"("position_ids": [[3, 4, 5, 6]])")));
}

// Where nothing can be read, nothing says "packed": that must not mean "one sequence".
TEST(Boundaries, AllDamagedAtOnceAreAllNamed) {
  const Inspection found =
      one_row(R"("cu_seq_lens_q": [0, 2, 5], "seq_idx": [[0, 0, 1]], "position_ids": [[0, 1, 0]])");
  EXPECT_EQ(found.summary, "boundaries that can't be followed: 1 row of 4 tokens");
  EXPECT_TRUE(is_wrong(found, "cu_seq_lens_q[2]"));
  EXPECT_TRUE(is_wrong(found, "seq_idx: "));
  EXPECT_TRUE(is_wrong(found, "position_ids: "));
  EXPECT_EQ(found.problems.size(), 3u);
  EXPECT_NE(inspection_text(found).find("UNSAFE"), std::string::npos);
}

TEST(Boundaries, SeveralPackedRowsAreWrong) {
  const Inspection found = two_rows(R"("position_ids": [[0, 1, 0, 1], [0, 1, 0, 1]])");
  EXPECT_EQ(found.summary, "packed rows: 2 rows of 4 tokens");
  EXPECT_TRUE(is_wrong(found, "position_ids take a step other than +1 within 2 of 2 rows"));
  EXPECT_TRUE(is_wrong(two_rows(R"("position_ids": [[0, 1, 2, 3], [0, 1, 0, 1]])"),
                       "position_ids take a step other than +1 within 1 of 2 rows"));
  // A mask of ones hides no token; one row of positions serves every row.
  EXPECT_TRUE(is_wrong(two_rows(R"("position_ids": [[0, 1, 0, 1], [0, 1, 0, 1]],
                                   "attention_mask": [[1, 1, 1, 1], [1, 1, 1, 1]])"),
                       "position_ids take a step other than +1 within 2 of 2 rows"));
  EXPECT_TRUE(is_wrong(two_rows(R"("position_ids": [[0, 1, 0, 1]])"),
                       "position_ids take a step other than +1 within 2 of 2 rows"));
  for (const char* key : {"cu_seq_lens_k", "cu_seqlens"}) {
    EXPECT_TRUE(is_wrong(two_rows("\"" + std::string(key) + "\": [0, 2, 4, 8]"),
                         "boundaries of packed sequences with 2 rows"));
  }
}

TEST(Boundaries, PositionsOfPadsDoNotCount) {
  for (const char* left : {"[[1, 1, 0, 1]]", "[[0, 0, 0, 1]]", "[[0, 1, 2, 3]]"}) {
    EXPECT_TRUE(is_safe(one_row(std::string(R"("attention_mask": [[0, 0, 1, 1]], )") +
                                R"("position_ids": )" + left)));
  }
  for (const char* right : {"[[0, 1, 1, 1]]", "[[0, 1, 0, 0]]"}) {
    EXPECT_TRUE(is_safe(one_row(std::string(R"("attention_mask": [[1, 1, 0, 0]], )") +
                                R"("position_ids": )" + right)));
  }
  EXPECT_TRUE(is_safe(two_rows(R"("attention_mask": [[0, 0, 1, 1], [1, 1, 1, 0]],
                                  "position_ids": [[1, 1, 0, 1], [0, 1, 2, 2]])")));
  EXPECT_TRUE(is_safe(two_rows(R"("attention_mask": [[0, 0, 1, 1], [1, 1, 1, 1]],
                                  "position_ids": [[0, 1, 2, 3]])")));
  // Sequences among the tokens that the mask keeps are packed all the same.
  EXPECT_TRUE(is_wrong(one_row(R"("attention_mask": [[0, 1, 1, 1]],
                                  "position_ids": [[1, 0, 1, 0]])"),
                       "attention_mask beside packed sequences"));
}

TEST(Boundaries, PositionsOfThreeRowsMayRepeatButNotRestart) {
  const std::string mrope = R"("position_ids": [[[0, 1, 1, 2]], [[0, 1, 1, 2]], [[0, 1, 2, 3]]])";
  EXPECT_TRUE(is_safe(one_row(mrope)));
  EXPECT_TRUE(is_safe(two_rows(mrope)));
  const std::string packed = R"("position_ids": [[[0, 1, 0, 1]], [[0, 1, 0, 1]], [[0, 1, 0, 1]]])";
  EXPECT_TRUE(is_wrong(one_row(packed), "position_ids: expected text positions before M-RoPE's"));
  EXPECT_TRUE(is_wrong(two_rows(packed), "position_ids take a step other than +1"));
}

TEST(Boundaries, SegmentIdsInTheMaskAreWrong) {
  EXPECT_TRUE(is_wrong(one_row(R"("attention_mask": [[1, 1, 2, 2]])"),
                       "attention_mask: expected 0 for a pad and 1 for a token, found 2 at row 0, "
                       "token 2: segment ids of packed sequences"));
  EXPECT_TRUE(is_wrong(two_rows(R"("attention_mask": [[1, 1, 1, 1], [1, 2, 2, 0]])"),
                       "attention_mask: expected 0 for a pad and 1 for a token, found 2 at row 1, "
                       "token 1"));
  EXPECT_TRUE(is_safe(one_row(R"("attention_mask": [[0, 1, 1, 1]])")));
}

TEST(Boundaries, AMaskOfAnotherShapeIsWrong) {
  EXPECT_TRUE(is_wrong(two_rows(R"("attention_mask": [[1, 1], [1, 1], [1, 1], [1, 1]])"),
                       "attention_mask: expected shape [2, 4], found [4, 2]"));
}

}  // namespace
}  // namespace packproof
