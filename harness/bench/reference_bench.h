#pragma once

#include "harness/core/result.h"
#include "reference/reference.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace packproof {

struct ReferenceBenchOptions {
  int64_t longest = 65536;         ///< Tokens of the longest sequence of the flatness series.
  bool very_long_sequence = true;  ///< 131,072 tokens, forward and gradients.
  bool whole_model = true;
};

/// One measurement.
struct BenchRow {
  std::string what;       ///< "recurrence", "recurrence, gradients", "whole model", "its products".
  std::string shape;      ///< "T 4096, 2 heads".
  double seconds = 0.0;   ///< Wall time, best of the repeats.
  double per_unit = 0.0;  ///< Microseconds per token and value head; per token for a model.
  int64_t peak_bytes = 0;  ///< Largest resident size of the process, inputs included.
};

/// Times the reference on this machine, all its cores: the delta rule at K = V = 128 (f32 inputs, f64
/// arithmetic; with and without bounds, forward and derived gradients) over growing sequences, one
/// very long sequence head by head, and a packed batch of 2,026 tokens through four layers of
/// Qwen3.5-0.8B's shape beside the products with its weights alone. `progress` is told what runs.
Result<std::vector<BenchRow>> bench_reference(
    const reference::Reference& reference, const ReferenceBenchOptions& options,
    const std::function<void(const std::string&)>& progress);

/// A table for people; of a whole model, its time over that of its products: what machines compare by.
std::string bench_table(const std::vector<BenchRow>& rows);

}  // namespace packproof
