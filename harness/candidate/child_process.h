#pragma once

#include "harness/core/result.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace packproof {

/// A file descriptor that is closed with its owner.
class OwnedFd {
 public:
  OwnedFd() = default;

  explicit OwnedFd(int fd) : fd_(fd) {}

  OwnedFd(OwnedFd&& other) noexcept : fd_(other.release()) {}

  OwnedFd& operator=(OwnedFd&& other) noexcept;

  ~OwnedFd() { close(); }

  int get() const { return fd_; }

  bool is_open() const { return fd_ >= 0; }

  int release();
  void close();

 private:
  int fd_ = -1;
};

/// A program with pipes on its three standard streams, leader of its own process group, so that
/// whatever it starts dies with it. The parent's ends never block. The environment and the working
/// directory are inherited; no other descriptor is.
class ChildProcess {
 public:
  /// argv[0] is looked up in PATH. kUsage when it can't be executed.
  static Result<ChildProcess> start(const std::vector<std::string>& argv);

  ChildProcess(ChildProcess&&) = default;
  ChildProcess& operator=(ChildProcess&&) = delete;
  ~ChildProcess();  ///< Kills what still runs.

  int input_fd() const { return input_.get(); }

  int output_fd() const { return output_.get(); }

  int error_fd() const { return error_.get(); }

  void close_input() { input_.close(); }

  /// Takes what the program has printed on standard error so far; false once it is closed.
  bool read_errors();

  /// The last lines of standard error in one line, or empty.
  std::string last_words() const;

  /// Waits until the program has ended by itself; false after the time limit.
  bool wait_for_end(std::chrono::milliseconds limit);

  /// Kills the process group and collects the program. Idempotent.
  void kill_group();

  /// "exited with code 3" or "was killed by signal 11 (SIGSEGV)"; after it was collected.
  std::string ending() const;

  /// The exit code of a program that ended by itself.
  std::optional<int> exit_code() const;

 private:
  ChildProcess() = default;

  OwnedFd input_;
  OwnedFd output_;
  OwnedFd error_;
  pid_t pid_ = -1;
  std::optional<int> wait_status_;
  std::string errors_;
};

}  // namespace packproof
