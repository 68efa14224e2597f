#include "reports/progress.h"

#include "reports/utf8.h"

#include <vector>

#include <gtest/gtest.h>

namespace packproof {
namespace {

class ProgressTest : public testing::Test {
 protected:
  Progress start(const TerminalStyle& style) {
    return Progress("smoke", style, [this](std::string_view text) { written_.emplace_back(text); });
  }

  static Progress::Clock::time_point at(int64_t milliseconds) {
    return Progress::Clock::time_point(std::chrono::hours(1)) +
           std::chrono::milliseconds(milliseconds);
  }

  std::vector<std::string> written_;
};

TEST_F(ProgressTest, PrintsALineATenthElsewhere) {
  Progress progress = start({.terminal = false});
  for (int64_t done = 0; done <= 200; ++done) {
    progress.update({.done = done, .total = 200, .failed = done > 100 ? 2 : 0}, at(done));
  }
  progress.finish();
  ASSERT_EQ(written_.size(), 10u);
  EXPECT_EQ(written_[0], "smoke: 20/200\n");
  EXPECT_EQ(written_[9], "smoke: 200/200, 2 failed\n");
}

TEST_F(ProgressTest, WritesNothingWhenNothingChanged) {
  Progress progress = start({.terminal = true, .unicode = false, .columns = 80});
  const ProgressState state{.done = 50, .total = 100, .failed = 0, .current = "rope"};
  progress.update(state, at(0));
  progress.update(state, at(1000));
  ASSERT_EQ(written_.size(), 1u);
  EXPECT_EQ(written_[0], "\r\033[Ksmoke  ############............  50/100  rope");
}

TEST_F(ProgressTest, DrawsTenTimesASecondAtMostAndAlwaysTheEnd) {
  Progress progress = start({.terminal = true});
  for (int64_t done = 0; done <= 1000; ++done) {
    progress.update({.done = done, .total = 1000}, at(done));
  }
  EXPECT_EQ(written_.size(), 11u);
  EXPECT_NE(written_.back().find("1,000/1,000"), std::string::npos);
  progress.finish();
  EXPECT_EQ(written_.back(), "\r\033[K");
  const std::size_t count = written_.size();
  progress.finish();
  EXPECT_EQ(written_.size(), count);
}

TEST_F(ProgressTest, NeverReachesTheLastColumn) {
  Progress progress = start({.terminal = true, .columns = 60});
  progress.update(
      {.done = 1, .total = 100000, .failed = 12, .current = "recurrent_gated_delta_rule_update"},
      at(0));
  ASSERT_EQ(written_.size(), 1u);
  EXPECT_LT(utf8_length(written_[0]) - utf8_length("\r\033[K"), 60u);
  EXPECT_NE(written_[0].find("12 failed"), std::string::npos);
}

TEST_F(ProgressTest, KnowsNoTenthsOfAnUnknownTotal) {
  Progress progress = start({.terminal = false});
  progress.update({.done = 5}, at(0));
  EXPECT_TRUE(written_.empty());
}

}  // namespace
}  // namespace packproof
