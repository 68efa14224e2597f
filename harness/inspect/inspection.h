#pragma once

#include "harness/inspect/batch.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace packproof {

/// What one source of boundaries says.
struct BoundaryView {
  std::string source;                           ///< A key, or a rule applied to position_ids.
  std::optional<std::vector<int64_t>> lengths;  ///< Empty when the source can't be read.
  std::string remark;                           ///< Why not, or what is odd.
};

/// Versions of transformers (with or without fast kernels) that treat metadata alike (spec 4.2, 4.3).
enum class Library : uint8_t {
  kBefore59,     ///< 5.2 to 5.8: metadata never reach a delta-net layer.
  kFast59,       ///< 5.9 to 5.19 with the fla and causal_conv1d kernels.
  kFallback59,   ///< 5.9 to 5.19 on torch: metadata are accepted and ignored.
  kFast520,      ///< 5.20 and later with the kernels.
  kFallback520,  ///< 5.20 and later on torch: metadata are refused.
};

inline constexpr std::array kLibraries{Library::kBefore59, Library::kFast59, Library::kFallback59,
                                       Library::kFast520, Library::kFallback520};

std::string_view name_of(Library library);

enum class Treatment : uint8_t {
  kRight,    ///< Sequences are kept apart.
  kLeaks,    ///< Silently not.
  kRefuses,  ///< ValueError.
};

std::string_view name_of(Treatment treatment);

/// What one part of the model does with the batch.
struct Consumer {
  std::string name;
  std::string reads;  ///< The keys that it takes boundaries from.
  std::array<Treatment, kLibraries.size()> by_library{};
};

struct Inspection {
  std::string summary;  ///< "packed: 3 sequences, 12 tokens".
  std::vector<BoundaryView> boundaries;
  std::vector<Consumer> consumers;
  std::vector<std::string> problems;  ///< Any of them makes the batch unsafe.
  std::vector<std::string> remedies;  ///< What to add or change.
  std::vector<std::string> notes;     ///< True in itself, worth knowing.

  bool safe() const { return problems.empty(); }
};

/// Judges a batch for hybrid models (delta-net layers and softmax attention): which boundaries every
/// consumer will see, where they disagree, and the traps of labels, padding and dtypes (spec 4, 5).
/// A key that is given but damaged is a problem like a wrong boundary. kInvalidInput for a batch
/// without input_ids, or with input_ids of an impossible shape.
Result<Inspection> inspect(const Batch& batch);

std::string inspection_text(const Inspection& inspection);

}  // namespace packproof
