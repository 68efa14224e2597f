#pragma once

#include "harness/core/op_call.h"
#include "harness/ops/packed_call.h"

#include <cstdint>
#include <vector>

namespace packproof {

/// Leading axes of a token tensor that count rows: 2 for [B, T, ...], 1 for [R, ...] and [N, ...].
int64_t leading_rank(Geometry geometry);

/// Replaces every token tensor of `call` by rows gathered from it, and the leading axes of every
/// output: `token_rows` names an old row per new one or says what fills it (RowSource); each stands
/// for `rows_per_token` rows of the tensors.
void regather_tokens(OpCall& call, Geometry geometry, int64_t batch,
                     const std::vector<int64_t>& token_rows, int64_t rows_per_token);

}  // namespace packproof
