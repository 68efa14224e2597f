#pragma once

#include "fixtures/golden_store.h"
#include "harness/core/result.h"

#include <array>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace packproof {

/// How |new - recorded| spreads over the elements of a region, in units of the recorded allowance.
struct DriftSpread {
  int64_t elements = 0;
  int64_t different = 0;  ///< Elements whose bits differ.
  double median = 0.0;
  double p99 = 0.0;
  double worst = 0.0;
};

struct OutputDrift {
  std::string name;
  double limit = 1.0;  ///< Shares up to here keep both results possible (`golden_limit`).
  std::map<int32_t, DriftSpread> regions;  ///< By region number; rows of region -1 are left out.
  int64_t different = 0;
  double worst = 0.0;
  std::string first_place;  ///< Place and values of the first differing element; empty when equal.
  std::string worst_place;
};

/// Drift of `got` from a recorded output of the same shape. An element that is NaN on one side only
/// counts as infinitely far.
OutputDrift drift_of(const std::string& name, const fixtures::GoldenOutput& recorded,
                     const Tensor& got);

struct GoldenDiff {
  std::string case_line;
  fixtures::GoldenProvenance a;
  fixtures::GoldenProvenance b;
  std::vector<OutputDrift> outputs;

  /// True when every element of b is within its limit of a.
  bool within() const;
};

/// Compares two intact golden files of one case on the same inputs, in units of the first one's
/// allowance.
Result<GoldenDiff> diff_goldens(const std::filesystem::path& a, const std::filesystem::path& b);

std::string diff_table(const GoldenDiff& diff);

}  // namespace packproof
