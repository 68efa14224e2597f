#include "harness/candidate/child_process.h"

#include "harness/candidate/child_group.h"

#include <array>
#include <cerrno>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace packproof {

namespace {

constexpr std::size_t kKeptErrorBytes = 8192;
constexpr std::size_t kShownWords = 400;
constexpr int kShownLines = 3;
constexpr int kPipeBytes = 1 << 20;
constexpr std::chrono::milliseconds kKillLimit{5000};

struct Pipe {
  OwnedFd read_end;
  OwnedFd write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    return infrastructure_error(std::string("a pipe could not be made: ") + ::strerror(errno));
  }
  // Larger pipes save context switches; the default size works too.
  ::fcntl(ends[1], F_SETPIPE_SZ, kPipeBytes);
  return Pipe{OwnedFd(ends[0]), OwnedFd(ends[1])};
}

void make_non_blocking(const OwnedFd& fd) { ::fcntl(fd.get(), F_SETFL, O_NONBLOCK); }

/// Spawn attributes: own process group, default signals.
class SpawnSettings {
 public:
  SpawnSettings(const Pipe& input, const Pipe& output, const Pipe& error) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_adddup2(&actions_, input.read_end.get(), STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, output.write_end.get(), STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions_, error.write_end.get(), STDERR_FILENO);
    ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1);
    ::posix_spawnattr_init(&attributes_);
    sigset_t signals;
    ::sigemptyset(&signals);
    ::posix_spawnattr_setsigmask(&attributes_, &signals);
    ::sigaddset(&signals, SIGPIPE);
    ::posix_spawnattr_setsigdefault(&attributes_, &signals);
    ::posix_spawnattr_setpgroup(&attributes_, 0);
    ::posix_spawnattr_setflags(
        &attributes_, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  }

  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  ~SpawnSettings() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }

  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

OwnedFd& OwnedFd::operator=(OwnedFd&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}

int OwnedFd::release() { return std::exchange(fd_, -1); }

void OwnedFd::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

Result<ChildProcess> ChildProcess::start(const std::vector<std::string>& argv) {
  if (argv.empty()) return usage_error("a program to start was expected, found an empty command");
  PACKPROOF_TRY(Pipe input, make_pipe());
  PACKPROOF_TRY(Pipe output, make_pipe());
  PACKPROOF_TRY(Pipe error, make_pipe());
  std::vector<char*> arguments;
  for (const std::string& argument : argv) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);

  const SpawnSettings settings(input, output, error);
  ChildProcess child;
  const int failure = ::posix_spawnp(&child.pid_, arguments[0], settings.actions(),
                                     settings.attributes(), arguments.data(), environ);
  if (failure != 0) {
    child.pid_ = -1;
    return usage_error("the program '" + argv[0] +
                       "' could not be started: " + ::strerror(failure));
  }
  remember_group(child.pid_);
  child.input_ = std::move(input.write_end);
  child.output_ = std::move(output.read_end);
  child.error_ = std::move(error.read_end);
  make_non_blocking(child.input_);
  make_non_blocking(child.output_);
  make_non_blocking(child.error_);
  return child;
}

ChildProcess::~ChildProcess() {
  // A moved-from process has no descriptors any more.
  if (output_.is_open()) kill_group();
}

bool ChildProcess::read_errors() {
  std::array<char, 4096> block;
  while (error_.is_open()) {
    const ssize_t got = ::read(error_.get(), block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return true;
    if (got == 0) {
      error_.close();
      break;
    }
    errors_.append(block.data(), static_cast<std::size_t>(got));
    if (errors_.size() > 2 * kKeptErrorBytes) errors_.erase(0, errors_.size() - kKeptErrorBytes);
  }
  return error_.is_open();
}

std::string ChildProcess::last_words() const {
  std::string words;
  std::size_t end = errors_.size();
  for (int lines = 0; end > 0 && lines < kShownLines;) {
    const std::size_t newline = errors_.rfind('\n', end - 1);
    const std::size_t begin = newline == std::string::npos ? 0 : newline + 1;
    if (begin < end) {
      const std::string line = errors_.substr(begin, end - begin);
      words = words.empty() ? line : line + " | " + words;
      ++lines;
    }
    end = newline == std::string::npos ? 0 : newline;
  }
  if (words.size() > kShownWords) words = "..." + words.substr(words.size() - kShownWords);
  return words;
}

bool ChildProcess::wait_for_end(std::chrono::milliseconds limit) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point deadline = Clock::now() + limit;
  while (!wait_status_) {
    // WNOWAIT keeps the process group's number reserved until the group has been killed.
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOWAIT | WNOHANG) != 0 ||
        info.si_pid == pid_) {
      kill_group();
      break;
    }
    if (Clock::now() >= deadline) return false;
    read_errors();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

void ChildProcess::kill_group() {
  if (wait_status_) return;
  ::killpg(pid_, SIGKILL);
  // Before the number is free for another group.
  forget_group(pid_);
  const auto deadline = std::chrono::steady_clock::now() + kKillLimit;
  int status = 0;
  // A process stuck in the kernel is left behind instead of stopping the run.
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  wait_status_ = status;
  read_errors();
}

std::string ChildProcess::ending() const {
  if (!wait_status_) return "still runs";
  if (WIFSIGNALED(*wait_status_)) {
    const int number = WTERMSIG(*wait_status_);
    const char* name = ::sigabbrev_np(number);
    return "was killed by signal " + std::to_string(number) +
           (name == nullptr ? "" : " (SIG" + std::string(name) + ")");
  }
  return "exited with code " + std::to_string(WEXITSTATUS(*wait_status_));
}

std::optional<int> ChildProcess::exit_code() const {
  if (!wait_status_ || !WIFEXITED(*wait_status_)) return std::nullopt;
  return WEXITSTATUS(*wait_status_);
}

}  // namespace packproof
