#include "harness/candidate/child_group.h"

#include <array>
#include <atomic>

#include <signal.h>
#include <time.h>

namespace packproof {
namespace {

constexpr std::size_t kMaxGroups = 64;  // A run has one or two.

// For a child that has groups of its own to kill, such as another packproof.
constexpr timespec kWarning{.tv_sec = 0, .tv_nsec = 100'000'000};

std::array<std::atomic<pid_t>, kMaxGroups> live_groups{};
static_assert(std::atomic<pid_t>::is_always_lock_free);

bool signal_groups(int signal) {
  bool any = false;
  for (const std::atomic<pid_t>& slot : live_groups) {
    const pid_t group = slot.load();
    if (group > 0) any = ::kill(-group, signal) == 0 || any;
  }
  return any;
}

/// Only async-signal-safe calls. SA_RESETHAND has restored the default action, which the raised
/// signal meets when this handler returns.
void kill_groups_and_end(int signal) {
  if (signal_groups(SIGTERM)) {
    ::nanosleep(&kWarning, nullptr);
    signal_groups(SIGKILL);
  }
  ::raise(signal);
}

}  // namespace

void kill_groups_on_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action {};

    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler == SIG_IGN) continue;
    action = {};
    action.sa_handler = kill_groups_and_end;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigemptyset(&action.sa_mask);
    ::sigaction(signal, &action, nullptr);
  }
}

void remember_group(pid_t group) {
  for (std::atomic<pid_t>& slot : live_groups) {
    pid_t free = 0;
    if (slot.compare_exchange_strong(free, group)) return;
  }
}

void forget_group(pid_t group) {
  for (std::atomic<pid_t>& slot : live_groups) {
    pid_t found = group;
    if (slot.compare_exchange_strong(found, 0)) return;
  }
}

}  // namespace packproof
