#pragma once

#include "harness/candidate/candidate.h"
#include "harness/core/case_spec.h"
#include "harness/core/result.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace packproof {

/// One measured kernel.
struct KernelBenchRow {
  std::string op;
  std::string layout;       ///< "4x8192, heads 16/32".
  std::string status;       ///< Empty when it ran; else why not.
  double seconds = 0.0;     ///< Median, by the device's clock.
  int64_t token_heads = 0;  ///< Rows of work: tokens times value heads, channels or norm rows.
  double bytes = 0.0;       ///< Inputs read once and outputs written once.
  double flop = 0.0;        ///< Of the algorithm; 0 where bytes are what counts.
};

struct KernelBenchOptions {
  std::string only;      ///< Layouts whose name contains this.
  int64_t repeats = 20;  ///< Runs per layout; on the host 3.
};

/// Times a candidate's kernels over the packs that users have: long and short sequences, one giant
/// with many small ones, single tokens by the thousand. On a GPU at Qwen3.5's sizes, on the host
/// (where CUDA threads are fibers) over the same shapes made small. Never a test.
Result<std::vector<KernelBenchRow>> bench_kernels(
    Candidate& candidate, const KernelBenchOptions& options,
    const std::function<void(const std::string&)>& progress);

std::string kernel_bench_table(const std::vector<KernelBenchRow>& rows);
std::string kernel_bench_json(const std::vector<KernelBenchRow>& rows, const CandidateInfo& info);

}  // namespace packproof
