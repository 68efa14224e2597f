#pragma once

#include "fixtures/hdf5_file.h"
#include "harness/core/result.h"
#include "harness/core/tensor.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace packproof {

/// One call of a user's step, by the parameter names of the function that received it.
struct CapturedCall {
  int64_t number = 0;
  std::string op;        ///< What the recorder took it for: "causal_conv1d".
  std::string function;  ///< "module:name".
  std::optional<int64_t> layer;
  std::map<std::string, std::string> scalars;  ///< Arguments that are no tensors; "none" for None.
  TensorMap inputs;
  TensorMap outputs;    ///< "output", "final_state".
  TensorMap gradients;  ///< "d_NAME" of inputs and outputs, where backward ran.
  bool on_gpu = false;

  /// The value of an argument that is no tensor, or `otherwise` where it was not given or None.
  std::string scalar(const std::string& name, const std::string& otherwise) const;

  /// Whether an argument has another value than None, False or 0.
  bool is_set(const std::string& name) const;
};

/// A file written by packproof_candidate.capture (harness/python/README.md describes the layout).
struct Capture {
  std::string torch;  ///< Its version.
  TensorMap batch;    ///< What the model received.
  std::vector<CapturedCall> calls;
  int64_t not_recorded = 0;  ///< Calls after the file had reached its size.
};

/// kUsage for a file that is missing, kInvalidInput for one that is damaged or no capture.
Result<Capture> read_capture(const std::filesystem::path& path);

/// The same from contents already read; `name` is for messages.
Result<Capture> capture_from(fixtures::Hdf5Content content, const std::string& name);

}  // namespace packproof
