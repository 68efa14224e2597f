#pragma once

#include "harness/cli/candidate_options.h"
#include "harness/core/case_spec.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

namespace packproof::cli {

inline constexpr const char* kUpstreamSuite = "transformers-45034";

/// The options of `packproof run`.
struct RunArguments {
  CandidateArguments candidate;
  std::string suite;
  std::vector<std::string> case_lines;
  std::string model;
  DType dtype = DType::kF32;
  std::string withheld;
  std::vector<std::string> modes;  ///< Of a candidate that runs whole models.
  std::vector<int64_t> lens;
  bool gradients = false;  ///< Of the loss of a whole model.
  std::vector<std::string> checks;
  std::vector<Op> ops;
  std::vector<Direction> directions;
  int64_t cases = 16;  ///< Random packings per op and direction.
  int64_t max_tokens = 256;
  std::string fixed;  ///< Fields that every random packing gets.
  uint64_t seed = 1;
  double time_limit = 20.0;  ///< Seconds per call.
  std::string junit;
  std::string jsonl;
  std::string command;
  bool resume = false;
  bool stop_at_first = false;
  bool no_shrink = false;
  bool no_model = false;
};

/// What decides, beside the candidate and the seed, which cases run and what is asked of each:
/// RunManifest::arguments. Options that only bound or report a run are not among them.
std::map<std::string, std::string> determining_arguments(const RunArguments& arguments);

void add_run_options(CLI::App& command, RunArguments& arguments);

/// After parsing: chooses the smoke suite where nothing is chosen, and refuses options that would
/// mean nothing beside the others.
void settle_run_options(const CLI::App& command, RunArguments& arguments);

}  // namespace packproof::cli
