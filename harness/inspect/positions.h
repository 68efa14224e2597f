#pragma once

#include "harness/inspect/boundaries.h"

namespace packproof {

/// Reads position_ids into the three rules of one row, or counts the rows of several that hold more
/// than one sequence. Tokens whose attention_mask is 0 don't count: transformers writes 0, 1 or the
/// last position on pads. Positions of an impossible shape are added to `unusable`.
void read_positions(const Batch& batch, BatchBoundaries& result);

}  // namespace packproof
