#include "harness/oracle/compare.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

namespace packproof {
namespace {

Tensor doubles(std::vector<int64_t> shape, std::vector<double> values) {
  return Tensor::from_doubles(DType::kF64, std::move(shape), values);
}

RowMap token_rows(int64_t count) {
  RowMap rows;
  for (int64_t t = 0; t < count; ++t) rows.push_back({RowKind::kToken, 0, t, Region::kInterior});
  return rows;
}

TEST(CompareWithBudget, NamesTheWorstElementAndItsShare) {
  const Tensor expected = doubles({3, 2}, {1, 2, 3, 4, 5, 6});
  const Tensor got = doubles({3, 2}, {1, 2, 3, 4.5, 5, 6.1});
  const Tensor allowed = doubles({3, 2}, {1, 1, 1, 0.25, 1, 1});
  const BudgetReport report = compare_with_budget(got, expected, allowed, token_rows(3));
  EXPECT_EQ(report.worst.row, 1);
  EXPECT_EQ(report.worst.element, 1);
  EXPECT_DOUBLE_EQ(report.worst.budget_used, 2.0);
  EXPECT_FALSE(report.within());
  EXPECT_EQ(report.judged, 6);
}

TEST(CompareWithBudget, NanAgainstANumberUsesAnInfiniteShare) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const BudgetReport report = compare_with_budget(doubles({1, 1}, {nan}), doubles({1, 1}, {0}),
                                                  doubles({1, 1}, {1e30}), token_rows(1));
  EXPECT_TRUE(std::isinf(report.worst.budget_used));
}

TEST(CompareWithBudget, ADifferenceWithoutAllowanceFails) {
  const BudgetReport report = compare_with_budget(doubles({1, 1}, {1e-300}), doubles({1, 1}, {0}),
                                                  doubles({1, 1}, {0}), token_rows(1));
  EXPECT_FALSE(report.within());
}

TEST(CompareWithBudget, SlackRowsAreNotJudged) {
  RowMap rows = token_rows(2);
  rows[1].kind = RowKind::kSlack;
  const BudgetReport report = compare_with_budget(doubles({2, 1}, {1, 99}), doubles({2, 1}, {1, 0}),
                                                  doubles({2, 1}, {0, 0}), rows);
  EXPECT_TRUE(report.within());
  EXPECT_EQ(report.judged, 1);
}

TEST(Allowance, AddsOneRoundingOfTheOutputType) {
  const Tensor allowed = allowance(doubles({1}, {2.0}), doubles({1}, {0.0}), DType::kBF16);
  EXPECT_NEAR(allowed.at(0), 2.0 / 256.0, 1e-12);
}

TEST(FirstBitDifference, SeesTheSignOfZero) {
  const Tensor a = doubles({2, 1}, {0.0, 1.0});
  const Tensor b = doubles({2, 1}, {-0.0, 1.0});
  EXPECT_EQ(first_bit_difference(a, b, 2, 2, {{0, 0}, {1, 1}}).row, 0);
  EXPECT_TRUE(first_bit_difference(a, b, 2, 2, {{1, 1}}).equal());
}

TEST(FirstNotANumber, LooksAtBothTensorsAndTheGivenRows) {
  const Tensor numbers = doubles({2, 1}, {0.0, INFINITY});
  const Tensor with_nan = doubles({2, 1}, {0.0, NAN});
  EXPECT_TRUE(first_not_a_number(numbers, numbers, 2, 2, {{0, 0}, {1, 1}}).equal());
  EXPECT_EQ(first_not_a_number(numbers, with_nan, 2, 2, {{0, 0}, {1, 1}}).row, 1);
  EXPECT_EQ(first_not_a_number(with_nan, numbers, 2, 2, {{1, 1}}).row, 1);
  EXPECT_TRUE(first_not_a_number(with_nan, with_nan, 2, 2, {{0, 0}}).equal());
}

TEST(FirstUnwritten, NeedsThePoisonOfBothColours) {
  Tensor first(DType::kF32, {2, 1});
  Tensor second(DType::kF32, {2, 1});
  for (std::byte& byte : first.bytes()) byte = std::byte{0xFF};
  for (std::byte& byte : second.bytes()) byte = std::byte{0xA5};
  first.set(0, 1.0);
  second.set(0, 1.0);
  const BitDifference unwritten =
      first_unwritten(first, std::byte{0xFF}, second, std::byte{0xA5}, token_rows(2));
  EXPECT_EQ(unwritten.row, 1);
  first.set(1, std::numeric_limits<double>::quiet_NaN());
  second.set(1, 2.0);
  EXPECT_TRUE(
      first_unwritten(first, std::byte{0xFF}, second, std::byte{0xA5}, token_rows(2)).equal());
}

TEST(FirstTrespass, SeesAWriteToASlackRow) {
  Tensor output(DType::kF32, {2, 1});
  for (std::byte& byte : output.bytes()) byte = std::byte{0xFF};
  RowMap rows = token_rows(2);
  rows[1].kind = RowKind::kSlack;
  EXPECT_TRUE(first_trespass(output, std::byte{0xFF}, rows).equal());
  output.set(1, 0.0);
  EXPECT_EQ(first_trespass(output, std::byte{0xFF}, rows).row, 1);
}

TEST(RegionOfToken, HeadThenTailThenChunkEdges) {
  EXPECT_EQ(region_of_token(0, 200, 4, 64), Region::kHead);
  EXPECT_EQ(region_of_token(2, 200, 4, 64), Region::kHead);
  EXPECT_EQ(region_of_token(3, 200, 4, 64), Region::kInterior);
  EXPECT_EQ(region_of_token(63, 200, 4, 64), Region::kChunkEdge);
  EXPECT_EQ(region_of_token(64, 200, 4, 64), Region::kChunkEdge);
  EXPECT_EQ(region_of_token(65, 200, 4, 64), Region::kChunkEdge);
  EXPECT_EQ(region_of_token(199, 200, 4, 64), Region::kTail);
}

TEST(RelativeNorm, IsScaleFree) {
  EXPECT_DOUBLE_EQ(relative_norm(doubles({2}, {3, 4}), doubles({2}, {3, 4})), 0.0);
  EXPECT_DOUBLE_EQ(relative_norm(doubles({2}, {0, 4}), doubles({2}, {3, 4})), 3.0 / 5.0);
}

}  // namespace
}  // namespace packproof
