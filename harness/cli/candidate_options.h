#pragma once

#include "harness/candidate/candidate.h"
#include "harness/core/result.h"

#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace packproof::cli {

/// Which candidate a command judges: `--library x.so`, `--candidate 'COMMAND'`, or the kernels of
/// this project on `--device`.
struct CandidateArguments {
  std::string kernel_library;
  std::string command;
  std::string device = "host";
};

void add_candidate_options(CLI::App& command, CandidateArguments& arguments);

/// Starts the candidate in a process of its own. A library that is missing is a usage error.
Result<std::unique_ptr<Candidate>> start_candidate(const CandidateArguments& arguments);

}  // namespace packproof::cli
