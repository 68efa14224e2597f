#include "harness/bench/peak_memory.h"

#include <cstddef>
#include <vector>

#include <gtest/gtest.h>

namespace packproof {
namespace {

TEST(PeakMemory, SeesWhatWasHeldAndForgetsItAtAReset) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers keep freed memory";
#endif
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  reset_peak_memory();
  const int64_t before = peak_memory();
  ASSERT_GT(before, 0);
  { const std::vector<char> held(kBytes, 1); }
  EXPECT_GT(peak_memory(), before + static_cast<int64_t>(kBytes) / 2);
  reset_peak_memory();
  EXPECT_LT(peak_memory(), before + static_cast<int64_t>(kBytes) / 2);
}

}  // namespace
}  // namespace packproof
