#include "harness/golden/record.h"

#include <array>
#include <cerrno>
#include <string>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace packproof {

namespace {

struct ProgramOutput {
  int status = -1;  ///< Exit code; -1 when the program could not be run.
  std::string text;
};

/// Runs git with arguments and collects its standard output; no shell is involved.
ProgramOutput run_git(const std::string& folder) {
  ProgramOutput output;
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return output;
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    if (const int null = open("/dev/null", O_WRONLY); null >= 0) dup2(null, STDERR_FILENO);
    execlp("git", "git", "-C", folder.c_str(), "status", "--porcelain",
           static_cast<char*>(nullptr));
    _exit(127);
  }
  close(ends[1]);
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = read(ends[0], buffer.data(), buffer.size())) != 0;) {
    if (got < 0 && errno != EINTR) break;
    if (got > 0) output.text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  close(ends[0]);
  int status = 0;
  while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (child > 0 && WIFEXITED(status)) output.status = WEXITSTATUS(status);
  return output;
}

}  // namespace

Status require_clean_tree(const std::filesystem::path& folder) {
  const std::string name = folder.empty() ? "." : folder.string();
  const ProgramOutput output = run_git(name);
  if (output.status != 0)
    return usage_error("blessing needs a git work tree: git gives no status of '" + name + "'");
  if (output.text.empty()) return {};
  return usage_error("blessing needs a clean git tree, found '" +
                     output.text.substr(0, output.text.find('\n')) +
                     "': commit or remove changes first");
}

}  // namespace packproof
