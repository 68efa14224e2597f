#pragma once

#include "harness/candidate/candidate.h"
#include "harness/core/result.h"

#include <map>
#include <memory>
#include <string>

#include <CLI/CLI.hpp>

namespace packproof::cli {

/// Which candidate a command judges: `--library x.so`, `--candidate 'COMMAND'`, or the kernels of
/// this project on `--device`. At most one is given.
struct CandidateArguments {
  std::string kernel_library;
  std::string command;
  std::string device;  ///< Empty: host.

  bool given() const { return !kernel_library.empty() || !command.empty() || !device.empty(); }
};

void add_candidate_options(CLI::App& command, CandidateArguments& arguments);

/// Starts the candidate in a process of its own. A library that is missing is a usage error.
Result<std::unique_ptr<Candidate>> start_candidate(const CandidateArguments& arguments);

/// The options as typed, for a shell; empty for this project's kernels on the host.
std::string repro_options(const CandidateArguments& arguments);

/// RunManifest::candidate_origin of these options, and the options of a report's.
std::map<std::string, std::string> origin_of(const CandidateArguments& arguments);
Result<CandidateArguments> candidate_of(const std::map<std::string, std::string>& origin,
                                        const std::string& report);

}  // namespace packproof::cli
