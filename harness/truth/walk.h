#pragma once

#include "harness/core/result.h"
#include "reference/reference.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace packproof {

/// Bars on the relative 2-norm of a tensor's difference. Two double-precision evaluations of these
/// models differ by about 1e-14 (spread among the oracle's own runs: 2e-16 to 2.4e-15); gradients
/// sum over many tokens with cancellation.
constexpr double kForwardBar = 1e-12;
constexpr double kGradientBar = 1e-10;

/// The library's own arithmetic rounds norms, gates, softmax and the delta rule to float32 even in
/// float64 models: measured 1.5e-7 to 7.9e-7 from the exact values.
constexpr double kNativeBar = 1e-6;

enum class OracleStatus : uint8_t {
  kWithin,    ///< At or below its bar.
  kAbove,     ///< Above its bar, not a number, or of another shape.
  kReported,  ///< Compared for information; never decides (values in float32 arithmetic).
  kSkipped,   ///< Stored, not compared; the note says why.
};

std::string_view name_of(OracleStatus status);

/// One stored tensor compared with one way of computing it.
struct OracleRow {
  std::string file;    ///< "dense_r3", "ops", "native".
  std::string tensor;  ///< Path in the file: "edges/alone/conv_state/00".
  std::string way;     ///< How it was computed: "alone", "packed", "autograd", ...
  OracleStatus status = OracleStatus::kSkipped;
  double error = 0.0;  ///< Relative 2-norm of the difference.
  double bar = 0.0;
  std::string note;  ///< Reason of a skip; what differs when shapes do.
};

/// What became of one file of the folder.
struct OracleFile {
  std::string name;
  int64_t inputs = 0;    ///< Stored tensors that feed the computation.
  int64_t truths = 0;    ///< Stored tensors that are results.
  int64_t compared = 0;  ///< Results compared in at least one way.
};

struct OracleReport {
  std::vector<OracleRow> rows;
  std::vector<OracleFile> files;
  std::vector<std::string> notes;  ///< Files that other tests read, versions of the data.

  int64_t count(OracleStatus status) const;

  /// True when nothing lies above its bar and every stored result was compared.
  bool conforms() const;
};

struct OracleOptions {
  const reference::Reference* reference = nullptr;  ///< Null loads the module.
};

using OracleProgress = std::function<void(const std::string& step)>;

/// Compares every result stored in a folder laid out as fixtures/oracle with what the reference
/// computes: models/NAME with cases/NAME.h5, cases/ops.h5, native.h5. The folder may be a user's
/// own: its HDF5 files are parsed in a child process with limits, and sums listed in a file
/// SHA256SUMS are checked first. Fails when the folder holds no case files, a file is damaged, or
/// the reference cannot be loaded; what the reference refuses to compute is a skip with its reason.
Result<OracleReport> walk_oracle(const std::filesystem::path& folder, const OracleOptions& options,
                                 const OracleProgress& progress = {});

/// The report as text: one line per file, tensor group and way with its worst tensor; with `verbose`
/// one line per tensor. Ends in counts of stored, compared, above and skipped.
std::string oracle_table(const OracleReport& report, bool verbose = false);

}  // namespace packproof
