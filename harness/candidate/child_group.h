#pragma once

#include <sys/types.h>

namespace packproof {

/// From now on SIGINT, SIGTERM and SIGHUP kill every remembered process group before they end this
/// process (exit status 128 + signal). Children lead groups of their own, so a terminal's Ctrl-C does
/// not reach them, and a hung one never sees that its pipes are closed. A signal that the caller had
/// ignored (nohup) stays ignored.
void kill_groups_on_signals();

/// The table of live groups, lock-free, since a signal handler reads it. A group that finds no room
/// is not remembered.
void remember_group(pid_t group);
void forget_group(pid_t group);

}  // namespace packproof
