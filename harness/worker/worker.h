#pragma once

#include "harness/core/result.h"

#include <string>

namespace packproof {

struct WorkerOptions {
  std::string kernel_library;  ///< Path of the kernel library.
};

/// Serves the process protocol: loads the library, answers calls read from `in_fd` on `out_fd`
/// until bye or the end of input, and dies when the parent process does. Meant to be all that a
/// process does: standard input becomes empty and standard output becomes standard error, so that
/// nothing a library reads or prints disturbs the protocol.
///
/// Returns the exit code: 0 after bye or the end of input, 2 when the library can't be used, 4 when
/// the device or the stream fails; the sentence is on standard error.
int run_worker(const WorkerOptions& options, int in_fd, int out_fd);

}  // namespace packproof
