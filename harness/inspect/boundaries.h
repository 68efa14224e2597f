#pragma once

#include "harness/inspect/inspection.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace packproof {

inline constexpr const char* kNotGiven = "not given";
inline constexpr const char* kUnusable = "given, but unusable";  ///< `unusable` says why.

/// Boundaries of a batch by every source, all read once.
struct BatchBoundaries {
  int64_t rows = 0;    ///< B of input_ids.
  int64_t length = 0;  ///< L of input_ids.
  BoundaryView cu_seq_lens_q, cu_seq_lens_k, cu_seqlens, seq_idx;
  BoundaryView mask_rule;   ///< position_ids, eager and sdpa: a step other than +1.
  BoundaryView flash_rule;  ///< position_ids, flash from 5.15: equal to the minimum.
  BoundaryView zero_rule;   ///< position_ids, flash before 5.15: equal to 0.

  /// What the batch means: the first source that says more than one sequence; else one sequence.
  std::optional<BoundaryView> intended;

  /// A sentence for every key that is given but that no consumer can follow. Such a key says nothing
  /// about what the batch means: it must not pass for one that isn't there.
  std::vector<std::string> unusable;

  int64_t packed_rows = 0;  ///< Of several rows: those whose position_ids hold several sequences.

  bool packed() const { return intended.has_value(); }
};

Result<BatchBoundaries> read_boundaries(const Batch& batch);

/// The entry of that key, or nullptr.
const BatchField* find(const Batch& batch, const std::string& key);

/// Whether a field holds one number per token: [B, L], or [L] beside a single row.
bool is_per_token(const BatchField& field, const BatchBoundaries& boundaries);

/// Lengths without the empty ones, which no rule on rows can see.
std::vector<int64_t> non_empty(const std::vector<int64_t>& lengths);

bool same_boundaries(const BoundaryView& a, const BoundaryView& b);

}  // namespace packproof
