#pragma once

#include "harness/core/result.h"

#include <functional>
#include <string>

#include <CLI/CLI.hpp>

namespace packproof::cli {

/// Process exit codes (style of the whole program; documented in harness/README.md).
enum ExitCode : int {
  kConforms = 0,
  kDoesNotConform = 1,
  kBadUsage = 2,
  kNothingRan = 3,
  kMachineFault = 4,
};

int exit_code(const Error& error);

/// Prints "packproof: <sentence>" on standard error and gives the exit code.
int report_error(const Error& error);

/// This process's command line as one would type it, words with blanks or quotes quoted.
std::string typed_command();

/// A subcommand registers its options and a body that gives the exit code.
using Body = std::function<int()>;

void add_run(CLI::App& app, Body& body);
void add_list(CLI::App& app, Body& body);
void add_replay(CLI::App& app, Body& body);
void add_oracle(CLI::App& app, Body& body);
void add_bench(CLI::App& app, Body& body);
void add_inspect(CLI::App& app, Body& body);
void add_judge(CLI::App& app, Body& body);
void add_golden(CLI::App& app, Body& body);
void add_doctor(CLI::App& app, Body& body);
void add_worker(CLI::App& app, Body& body);

}  // namespace packproof::cli
