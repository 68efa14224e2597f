#pragma once

#include "harness/judge/call_mapping.h"
#include "harness/judge/capture_file.h"
#include "harness/judge/sequences.h"

#include <span>
#include <string>
#include <vector>

namespace packproof {

/// Where the sequences of a captured step begin, and what a reader must know about how that is known.
struct Truth {
  Sequences sequences;  ///< Empty `source` when nothing says it: every row of a call is a sequence.
  std::vector<std::string> notes;

  /// The sequences of a call over [batch, length] rows: those of the batch, with its padding or
  /// without; for single-token steps and where nothing is known, its rows. The error says that the
  /// call belongs to another batch.
  Result<Sequences> of_call(int64_t batch, int64_t length) const;
};

/// From the batch: cu_seq_lens_q, cu_seqlens, seq_idx, position_ids, attention_mask (the first that
/// says where sequences begin; an attention_mask of 0 and 1 also hides padding). Else from the call
/// that was told most. Sources of the batch that contradict each other are noted. kInvalidInput for
/// a batch that contradicts itself in shape.
Result<Truth> find_truth(const TensorMap& batch, std::span<const MappedCall> calls);

}  // namespace packproof
