#include "harness/candidate/child_process.h"
#include "harness/cli/commands.h"
#include "harness/cli/number_check.h"
#include "harness/cli/text_check.h"
#include "reports/shell_word.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include <poll.h>
#include <unistd.h>

namespace packproof::cli {
namespace {

constexpr std::chrono::milliseconds kProbeLimit{60000};
constexpr double kMoreThanTheProof = 60.0;  // Seconds for Python's start and the table of versions.

// Exit code of the probe where Python runs and the package is not there.
constexpr int kNoPackage = 77;

struct DoctorArguments {
  std::string python = "python3";
  double seconds = 60.0;
  bool versions_only = false;
};

/// --python may be a command with arguments, as --candidate is: a shell splits it.
Result<ChildProcess> start_python(const DoctorArguments& arguments, const std::string& rest) {
  return ChildProcess::start({"/bin/sh", "-c", "exec " + arguments.python + " " + rest});
}

constexpr const char* kProbe =
    "import importlib.util, sys\n"
    "if importlib.util.find_spec('packproof_candidate') is None: sys.exit(77)\n"
    "try: import packproof_candidate.doctor\n"
    "except Exception as error: sys.exit(f'{type(error).__name__}: {error}')";

/// Whether the Python side is there; else one sentence that says what to install.
Status probe(const DoctorArguments& arguments) {
  PACKPROOF_TRY(ChildProcess child, start_python(arguments, "-c " + shell_word(kProbe)));
  child.close_input();
  const bool ended = child.wait_for_end(kProbeLimit);
  const std::optional<int> code = child.exit_code();
  if (ended && code == 0) return {};
  if (ended && code == kNoPackage) {
    return usage_error("'" + arguments.python +
                       "' does not find the package packproof_candidate: pip install "
                       "harness/python, or set PYTHONPATH to that folder");
  }
  if (ended && code == 1) {
    return usage_error("'" + arguments.python + "' cannot load the package packproof_candidate (" +
                       child.last_words() + "): pip install harness/python");
  }
  return usage_error("--python: expected the command of a Python 3, '" + arguments.python + "' " +
                     (ended ? child.ending() : "gave no answer") +
                     (child.last_words().empty() ? "" : ": " + child.last_words()) +
                     "; install Python 3.10 or later");
}

/// Copies what a descriptor holds; false once it is closed.
bool forward(int from, std::FILE* to) {
  std::array<char, 4096> block;
  while (true) {
    const ssize_t got = ::read(from, block.data(), block.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return true;
    if (got == 0) return false;
    std::fwrite(block.data(), 1, static_cast<std::size_t>(got), to);
    std::fflush(to);
  }
}

/// Shows both streams as they come, until they end or the time is over.
bool forward_until(const ChildProcess& child, std::chrono::steady_clock::time_point deadline) {
  std::array<pollfd, 2> streams{pollfd{child.output_fd(), POLLIN, 0},
                                pollfd{child.error_fd(), POLLIN, 0}};
  while (streams[0].fd >= 0 || streams[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return false;
    if (::poll(streams.data(), streams.size(), static_cast<int>(left.count())) <= 0) continue;
    for (pollfd& stream : streams) {
      if (stream.fd < 0 || stream.revents == 0) continue;
      if (!forward(stream.fd, stream.fd == child.error_fd() ? stderr : stdout)) stream.fd = -1;
    }
  }
  return true;
}

int doctor(const DoctorArguments& arguments) {
  if (const Status found = probe(arguments); !found.ok()) return report_error(found.error());
  std::string rest = "-u -m packproof_candidate doctor";
  if (!arguments.versions_only) {
    const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe");
    rest += " --packproof " + shell_word(self.string()) + " --seconds " +
            std::to_string(arguments.seconds);
  }
  Result<ChildProcess> child = start_python(arguments, rest);
  if (!child.ok()) return report_error(child.error());
  child->close_input();
  const std::chrono::milliseconds limit(
      static_cast<int64_t>((arguments.seconds + kMoreThanTheProof) * 1000.0));
  const auto deadline = std::chrono::steady_clock::now() + limit;
  if (!forward_until(*child, deadline) || !child->wait_for_end(kProbeLimit)) {
    return report_error(infrastructure_error("the Python doctor did not end within " +
                                             std::to_string(limit.count() / 1000) + " s"));
  }
  const std::optional<int> code = child->exit_code();
  if (code == kConforms || code == kDoesNotConform) return *code;
  return report_error(infrastructure_error("the Python doctor " + child->ending()));
}

}  // namespace

void add_doctor(CLI::App& app, Body& body) {
  auto arguments = std::make_shared<DoctorArguments>();
  CLI::App* command = app.add_subcommand(
      "doctor",
      "Compare installed Python kernels with known bugs, then judge them for at most a minute");
  command
      ->add_option("--python", arguments->python,
                   "The Python in which they are installed (default python3)")
      ->check(some_text("a command"));
  command->add_option("--seconds", arguments->seconds, "For the proof, at most (default 60)")
      ->check(seconds_number());
  command->add_flag("--versions-only", arguments->versions_only, "Leave the proof out");
  command->callback([arguments, &body] { body = [arguments] { return doctor(*arguments); }; });
}

}  // namespace packproof::cli
