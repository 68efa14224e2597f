#pragma once

#include "reference/token_values.h"

#include <cstdint>
#include <vector>

namespace packproof::reference {

/// Token rows [begin, end) of one sequence.
struct RowSpan {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t length() const { return end - begin; }
};

/// The rows of 0 to `num_rows` that none of the `sequences`, ascending, holds.
inline std::vector<RowSpan> rows_between(const std::vector<RowSpan>& sequences, int64_t num_rows) {
  std::vector<RowSpan> gaps;
  int64_t end = 0;
  for (const RowSpan& span : sequences) {
    if (span.begin > end) gaps.push_back({end, span.begin});
    end = span.end;
  }
  if (num_rows > end) gaps.push_back({end, num_rows});
  return gaps;
}

/// Inputs of the gated delta rule (spec 3) as contiguous arrays that the caller owns. R token rows;
/// rows outside of every sequence are not read.
struct DeltaRuleProblem {
  StoredValues q;                         ///< [R, Hk, K], not normalised when `qk_l2norm`.
  StoredValues k;                         ///< [R, Hk, K].
  StoredValues v;                         ///< [R, Hv, V].
  const double* g = nullptr;              ///< [R, Hv], log decay.
  const double* beta = nullptr;           ///< [R, Hv].
  const double* initial_state = nullptr;  ///< [N, Hv, K, V]; null means zeros.
  int64_t num_rows = 0;
  int64_t key_heads = 0;
  int64_t value_heads = 0;
  int64_t key_dim = 0;
  int64_t value_dim = 0;
  std::vector<RowSpan> sequences;
  double scale = 0.0;  ///< Multiplies the output; not 0.
  bool qk_l2norm = true;

  int64_t num_seqs() const { return static_cast<int64_t>(sequences.size()); }

  /// Key head of a value head (spec 2.5 step 4).
  int64_t key_head(int64_t value_head) const { return value_head / (value_heads / key_heads); }

  /// Where a row of q or k begins, and one of v.
  int64_t key_place(int64_t row, int64_t key_head) const {
    return (row * key_heads + key_head) * key_dim;
  }

  int64_t value_place(int64_t row, int64_t value_head) const {
    return (row * value_heads + value_head) * value_dim;
  }

  int64_t state_size() const { return key_dim * value_dim; }
};

}  // namespace packproof::reference
