#include "reports/text_layout.h"

#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

namespace packproof {
namespace {

TEST(TextLayout, AlignsByCharactersNotBytes) {
  EXPECT_EQ(left_aligned("\xC3\xA4", 3), "\xC3\xA4  ");
  EXPECT_EQ(right_aligned("\xC3\xA4", 3), "  \xC3\xA4");
  EXPECT_EQ(right_aligned("long", 2), "long");
}

TEST(TextLayout, GroupsAndCounts) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1000), "1,000");
  EXPECT_EQ(grouped(-123456), "-123,456");
  EXPECT_EQ(grouped(1234567), "1,234,567");
  EXPECT_EQ(counted(1, "case"), "1 case");
  EXPECT_EQ(counted(2000, "case"), "2,000 cases");
}

TEST(TextLayout, SharesNeverLookBetterThanTheyAre) {
  EXPECT_EQ(share_text(0.0), "-");
  EXPECT_EQ(share_text(1e-9), "< 0.1 %");
  EXPECT_EQ(share_text(0.034), "3.4 %");
  EXPECT_EQ(share_text(0.37), "37 %");
  EXPECT_EQ(share_text(1.0), "100 %");
  EXPECT_EQ(share_text(13.2), "13.2 x");
  EXPECT_EQ(share_text(1.0 + 1e-15), "> 100 %");
  EXPECT_EQ(share_text(0.9999), "< 100 %");
  EXPECT_EQ(share_text(123456.0), "1.2e+05 x");
  EXPECT_EQ(share_text(std::numeric_limits<double>::infinity()), "inf");
  EXPECT_EQ(share_text(std::nan("")), "nan");
}

TEST(TextLayout, Durations) {
  EXPECT_EQ(duration_text(0.04), "0.0 s");
  EXPECT_EQ(duration_text(59.94), "59.9 s");
  EXPECT_EQ(duration_text(59.96), "1 min 00 s");
  EXPECT_EQ(duration_text(125.0), "2 min 05 s");
}

TEST(TextLayout, WrapsWordsWithinTheColumns) {
  EXPECT_EQ(wrapped("one two three", 2, 10), "  one two\n  three\n");
  EXPECT_EQ(wrapped("one two", 0, 7), "one two\n");
  EXPECT_EQ(wrapped("a verylongword b", 1, 6), " a\n verylongword\n b\n");
  EXPECT_EQ(wrapped("", 2, 10), "");
}

TEST(TextLayout, DoesNotPassControlCharactersOn) {
  EXPECT_EQ(wrapped("a\x1B[2Jb\r\nc\xC2\x9B"
                    "d\xFF",
                    0, 80),
            "a [2Jb c d\xEF\xBF\xBD\n");
}

TEST(TextLayout, KeepsListItemsWhole) {
  const std::vector<std::string> items{"alone (48)", "permuted (4)"};
  EXPECT_EQ(wrapped_list(items, 2, 16), "  alone (48),\n  permuted (4)\n");
  EXPECT_EQ(wrapped_list(items, 0, 80), "alone (48), permuted (4)\n");
}

TEST(TextLayout, PaintsOnlyWhereThereAreColours) {
  EXPECT_EQ(painted({.colour = false}, Paint::kBad, "x"), "x");
  EXPECT_EQ(painted({.colour = true}, Paint::kBad, "x"), "\033[1;31mx\033[0m");
}

}  // namespace
}  // namespace packproof
