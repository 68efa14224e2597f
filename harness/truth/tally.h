#pragma once

#include "harness/core/result.h"
#include "harness/core/tensor.h"
#include "harness/truth/walk.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace packproof {

/// Books what became of every tensor of one oracle file, so that none is passed over in silence.
class OracleTally {
 public:
  OracleTally(std::string file, const TensorMap& stored)
      : file_(std::move(file)), stored_(stored) {}

  const std::string& file() const { return file_; }

  bool has(const std::string& path) const { return stored_.contains(path); }

  /// The stored paths below `prefix` + "/", relative to it, in order.
  std::vector<std::string> below(const std::string& prefix) const;

  /// The first parts of all stored paths, each once, in order.
  std::vector<std::string> groups() const;

  /// A stored tensor that feeds the computation; an error names it when it is missing or has another
  /// number of axes.
  Result<Tensor> input(const std::string& path, int64_t rank);

  /// Compares a stored result with the computed one. A path that is not stored is ignored: files
  /// hold hidden states and gradients for one batch only.
  void compare(const std::string& path, const Tensor& computed, const std::string& way, double bar);

  /// The same for a result that never decides.
  void report(const std::string& path, const Tensor& computed, const std::string& way, double bar,
              const std::string& note);

  /// Says why `way` of computing could not be compared with the stored results below `prefix` that
  /// it was not compared with yet.
  void skip(const std::string& prefix, const std::string& way, const std::string& reason);

  /// Adds a skip for every result that nothing touched and moves everything into `report`.
  void finish(OracleReport& report);

 private:
  OracleRow judge(const std::string& path, const Tensor& computed, const std::string& way,
                  double bar) const;

  std::string file_;
  const TensorMap& stored_;
  std::set<std::string> inputs_;
  std::set<std::string> compared_;
  std::set<std::pair<std::string, std::string>> ways_;  ///< Path and way of every comparison.
  std::set<std::string> skipped_;
  std::vector<OracleRow> rows_;
};

}  // namespace packproof
