#include "harness/candidate/child_group.h"

#include "harness/candidate/child_process.h"

#include <filesystem>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

namespace packproof {
namespace {

constexpr int kLimitMs = 10000;

/// A pipe with a name: whoever holds its writing end still lives.
class LifeLine {
 public:
  explicit LifeLine(const std::string& name)
      : path_(testing::TempDir() + name + std::to_string(::getpid())) {
    std::filesystem::remove(path_);
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    fd_ = OwnedFd(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  }

  ~LifeLine() { std::filesystem::remove(path_); }

  const std::string& path() const { return path_; }

  short wait() const {
    pollfd line{fd_.get(), POLLIN, 0};
    return ::poll(&line, 1, kLimitMs) == 1 ? line.revents : short{0};
  }

  std::string read() const {
    char text[64];
    const ssize_t got = ::read(fd_.get(), text, sizeof text);
    return {text, got > 0 ? static_cast<std::size_t>(got) : 0};
  }

 private:
  std::string path_;
  OwnedFd fd_;
};

TEST(ChildGroup, ASignalTakesAHungChildWithIt) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const LifeLine line("child_group");
    const auto hang_and_end = [&] {
      kill_groups_on_signals();
      // The shell starts another program, and neither listens to anybody.
      auto child = ChildProcess::start(
          {"/bin/sh", "-c",
           "trap '' INT TERM HUP; exec > " + line.path() + "; echo up; sleep 600; :"});
      if (child.ok() && (line.wait() & POLLIN) != 0) ::raise(signal);
    };
    EXPECT_EXIT(hang_and_end(), testing::KilledBySignal(signal), "");
    EXPECT_EQ(line.read(), "up\n");
    EXPECT_EQ(line.wait() & (POLLHUP | POLLIN), POLLHUP) << "the child of signal " << signal;
  }
}

TEST(ChildGroup, AnIgnoredSignalStaysIgnored) {
  const auto go_on = [] {
    ::signal(SIGHUP, SIG_IGN);
    kill_groups_on_signals();
    ::raise(SIGHUP);
    ::_exit(7);
  };
  EXPECT_EXIT(go_on(), testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace packproof
