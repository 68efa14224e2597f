#pragma once

#include "harness/core/result.h"
#include "harness/core/tensor.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace packproof {

/// Rows [begin, begin + length) of a call's B * T rows, counted row by row.
struct Span {
  int64_t begin = 0;
  int64_t length = 0;

  bool operator==(const Span&) const = default;
};

/// Which rows are tokens of which sequence, by one source. Spans ascend; rows outside are padding.
struct Sequences {
  std::string source;  ///< "cu_seq_lens_q of the batch", for messages.
  int64_t rows = 0;    ///< B * T.
  std::vector<Span> spans;

  int64_t tokens() const;
  int64_t non_empty() const;
};

/// Every row of a [batch, length] call is one sequence.
Sequences sequences_of_rows(int64_t batch, int64_t length);

/// cu_seqlens [N + 1], over one packed row. Refuses what Packing::from_cu_seqlens refuses.
Result<Sequences> sequences_of_offsets(const Tensor& offsets, int64_t rows);

/// Runs of equal ids within a row of [B, T]; rows of ids below `first_id` are padding.
Result<Sequences> sequences_of_ids(const Tensor& ids, int64_t first_id);

/// Restarts of position_ids: [B, T], or the first of several [A, B, T] (spec 4.2, rule 2 per row).
Result<Sequences> sequences_of_positions(const Tensor& positions);

/// The blocks of a causal mask [B or 1, 1 or H, T, T] of 0 and 1, or of 0 and very negative numbers.
/// A token is a row that sees itself. Refuses masks that are not causal blocks, such as windows.
Result<Sequences> sequences_of_mask(const Tensor& mask, int64_t batch);

/// `sequences` without the rows that a mask [B, T] hides.
Sequences without_padding(const Sequences& sequences, const Tensor& mask);

/// The same tokens with the padding squeezed out.
Sequences compressed(const Sequences& sequences);

/// Where `received` does not keep the sequences of `truth` apart and whole.
struct Disagreement {
  bool cut = false;       ///< The sequence is torn; else it shares its state with `other`.
  int64_t sequence = -1;  ///< Of `truth`.
  int64_t other = -1;
};

/// The first one; none where every sequence of `truth` lies in a received one of its own.
std::optional<Disagreement> first_disagreement(const Sequences& truth, const Sequences& received);

/// For every received sequence, what is true of it: the sequence inside, or an empty span. Only for
/// sequences without a disagreement.
std::vector<Span> aligned(const Sequences& truth, const Sequences& received);

/// "5,3,1,6", shortened in the middle.
std::string lens_text(const Sequences& sequences);

}  // namespace packproof
