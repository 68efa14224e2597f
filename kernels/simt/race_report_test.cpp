#include <array>
#include <cstdio>
#include <fstream>
#include <memory>
#include <string>

#include <gtest/gtest.h>
#include <sys/wait.h>

// ThreadSanitizer must see the kernels' synchronisation and nothing else: these tests run in builds
// with PACKPROOF_SANITIZE=thread, where racy_kernels is built beside them.

namespace packproof::simt {
namespace {

struct Finished {
  std::string output;  // Both streams.
  int status = -1;
};

Finished run_kernel(const std::string& kernel, const std::string& variant, uint64_t seed) {
  const std::string command = std::string("TSAN_OPTIONS=exitcode=66:atexit_sleep_ms=0 ") +
                              PACKPROOF_BINARY_DIR + "/bin/packproof_racy_kernels " + kernel + " " +
                              variant + " " + std::to_string(seed) + " 2>&1";
  FILE* pipe = popen(command.c_str(), "r");
  Finished run;
  std::array<char, 4096> part;
  for (std::size_t n = 0; (n = fread(part.data(), 1, part.size(), pipe)) > 0;) {
    run.output.append(part.data(), n);
  }
  run.status = WEXITSTATUS(pclose(pipe));
  return run;
}

// "racy_kernels.cu:LINE" of the line that is marked as the kernel's racing access.
std::string marked_line(const std::string& kernel) {
  std::ifstream source(PACKPROOF_SOURCE_DIR "/kernels/simt/racy_kernels.cu");
  std::string text;
  for (int line = 1; std::getline(source, text); ++line) {
    if (text.ends_with("// race: " + kernel)) return "racy_kernels.cu:" + std::to_string(line);
  }
  ADD_FAILURE() << "no marked line for " << kernel;
  return "";
}

class RaceReport : public testing::TestWithParam<const char*> {};

TEST_P(RaceReport, NamesTheLineUnderEverySchedule) {
  for (const uint64_t seed : {0, 1, 2}) {
    const Finished racy = run_kernel(GetParam(), "racy", seed);
    EXPECT_EQ(racy.status, 66) << racy.output;
    EXPECT_NE(racy.output.find("WARNING: ThreadSanitizer: data race"), std::string::npos)
        << racy.output;
    EXPECT_NE(racy.output.find(marked_line(GetParam())), std::string::npos) << racy.output;
    EXPECT_NE(racy.output.find("'block ("), std::string::npos) << racy.output;
    // No comparison of values could have found it (a copy without its wait is late for seed 0).
    if (seed == 0 && std::string(GetParam()) != "copy_wait") {
      EXPECT_NE(racy.output.find("right\n"), std::string::npos) << racy.output;
    }
  }
}

TEST_P(RaceReport, StaysAwayFromTheOrderedKernel) {
  for (const uint64_t seed : {0, 1, 2}) {
    const Finished ordered = run_kernel(GetParam(), "ordered", seed);
    EXPECT_EQ(ordered.status, 0);
    EXPECT_EQ(ordered.output, "right\n");
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, RaceReport,
                         testing::Values("block_barrier", "warp_barrier", "write_after_read",
                                         "reduction", "blocks", "copy_wait", "copy_barrier",
                                         "named_barrier", "matrix_rows"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace packproof::simt
