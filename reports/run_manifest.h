#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace packproof {

/// What was run, by what, against what: the head of every report.
struct RunManifest {
  std::string packproof_version{};
  std::string started{};  ///< UTC, "2026-01-31T12:00:00Z"; empty when it does not matter.
  std::string command{};  ///< The command line as typed.
  std::string suite{};    ///< A suite's name, "case" or "model".
  uint64_t seed = 0;

  std::string candidate_name{};
  std::string candidate_version{};
  std::string candidate_identity{};  ///< SHA-256 of the library or program.
  std::string device{};

  /// Options that a case needs beside its line to run against the same candidate, as typed:
  /// "--library build/x.so". Part of every line that reproduces a failure.
  std::string repro_options{};

  /// The option that starts the same candidate from any folder: "--library" -> its absolute path,
  /// "--candidate" -> its command or "--device" -> where this project's kernels run. Empty where
  /// nobody knows, as in reports from before this was written down.
  std::map<std::string, std::string> candidate_origin{};

  /// Everything else that decides which cases run and what is asked of each: "--check" -> "written".
  /// Empty in reports from before this was written down.
  std::map<std::string, std::string> arguments{};

  std::map<std::string, std::string> versions{};  ///< What else matters: "libtorch" -> "1.13.1".

  /// What a reader must know before the verdict: "source semantics only: nothing about races".
  std::vector<std::string> notes{};

  bool operator==(const RunManifest&) const = default;
};

/// The command that runs one case again: its shrunk line when there is one. For an id that is not a
/// case line, such as a model check, the whole run's command.
std::string repro_command(const RunManifest& manifest, const std::string& id,
                          const std::string& shrunk);

/// "causal_conv1d" or "causal_conv1d bwd" for a case line; another id up to its first space.
std::string operation_of(const std::string& id);

}  // namespace packproof
