#pragma once

#include "harness/core/packing.h"
#include "harness/core/result.h"
#include "harness/core/tensor.h"
#include "reference/reference.h"

#include <cstdint>
#include <string>
#include <vector>

namespace packproof {

/// Sequences of token ids with labels, as the oracle stores them: concatenated.
struct TokenBatch {
  Packing packing;
  Tensor input_ids;  ///< i64 [T].
  Tensor labels;     ///< i64 [T], or of rank 0 when there are none.
};

/// One row per sequence, padded on `side`, with mask and restarting positions (0 at pads). The pad
/// id is 0: valid positions cannot depend on it.
reference::ModelBatch padded_batch(const TokenBatch& batch, PadSide side);

/// Labels in the same layout, -100 at pads. i64 [N, L].
Tensor padded_labels(const TokenBatch& batch, PadSide side);

/// One row with the boundaries and positions of every sequence.
reference::ModelBatch packed_batch(const TokenBatch& batch);

/// Sequence `n` by itself, without mask and positions.
reference::ModelBatch alone_batch(const TokenBatch& batch, int64_t n);

/// What to ask of a forward: final states always, hidden states on request.
reference::ForwardOptions with_states(bool hidden_states = false);

/// The rows of a padded [N, L, X] tensor that hold tokens, [T, X], sequences in order.
Tensor token_rows(const Tensor& padded, const Packing& packing, PadSide side);

/// The rows of a [B, L, X] tensor whose entry of `mask` [B, L] is not zero, in order: [rows, X].
Tensor masked_rows(const Tensor& values, const Tensor& mask);

/// positions = max(cumsum(mask) - 1, 0) at ones and 0 at zeros (spec 4.1). i64 [B, L].
Tensor mask_positions(const Tensor& mask);

/// Tensors of one dtype joined along `axis`.
Tensor concatenate(const std::vector<Tensor>& parts, int64_t axis);

/// "00", "01", ...: the layer numbers of stored paths.
std::string layer_name(int64_t layer);

}  // namespace packproof
