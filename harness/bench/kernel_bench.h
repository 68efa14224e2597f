#pragma once

#include "harness/bench/device_rates.h"
#include "harness/candidate/candidate.h"
#include "harness/core/case_spec.h"
#include "harness/core/result.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace packproof {

/// What one candidate took for one call.
struct KernelTime {
  std::string status;    ///< Empty when it ran; else why not.
  double seconds = 0.0;  ///< Median of launches, by the device's clock.
  double replayed =
      0.0;  ///< Median of replays of the recorded launch (a CUDA graph); 0 on the host.
};

/// One measured kernel.
struct KernelBenchRow {
  std::string op;
  std::string layout;  ///< "4x8192, heads 16/32".
  KernelTime time;
  KernelTime other;         ///< Of the candidate compared with, where there is one.
  int64_t token_heads = 0;  ///< Units of work: tokens times value heads, channels or norm rows.
  double bytes = 0.0;       ///< Inputs read once and outputs written once.
  double flop = 0.0;        ///< Of the algorithm; 0 where bytes are what counts.
};

struct KernelBench {
  CandidateInfo candidate;
  CandidateInfo other;  ///< Without a name: none.
  DeviceRates rates;
  std::vector<KernelBenchRow> rows;
};

struct KernelBenchOptions {
  std::string only;      ///< Layouts whose name contains this.
  int64_t repeats = 20;  ///< Runs per layout; on the host 3.
};

/// One measurement that `bench_kernels` makes.
struct BenchWork {
  std::string layout;
  CaseSpec spec;
};

/// The packs that users have: long and short sequences, one giant with many small ones, single
/// tokens by the thousand; Qwen3.5's sizes on a GPU, the same shapes made small on the host.
std::vector<BenchWork> bench_works(bool on_gpu);

/// Times a candidate's kernels, `other` beside it where it is not null: runs take turns on two sets
/// of buffers; even heads have slow gates, odd ones strong. What cannot be measured is a row that says
/// why. Never a test. `bench.rates` are those of
/// the device, measured by the caller.
Result<KernelBench> bench_kernels(Candidate& candidate, Candidate* other, const DeviceRates& rates,
                                  const KernelBenchOptions& options,
                                  const std::function<void(const std::string&)>& progress);

std::string kernel_bench_table(const KernelBench& bench);
std::string kernel_bench_json(const KernelBench& bench);

}  // namespace packproof
