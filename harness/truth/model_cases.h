#pragma once

#include "harness/core/tensor.h"
#include "harness/truth/tally.h"
#include "reference/reference.h"

#include <functional>
#include <string>

namespace packproof {

/// Compares a model with its case file: batches with `lens` (alone, packed, padded left with loss
/// and gradients both ways, padded right), cached, cached_left_padded, mask_with_holes and mrope.
/// Returns the logits of every batch run alone, by batch name.
TensorMap walk_model_cases(const reference::Model& model, OracleTally& tally,
                           const OracleProgress& progress);

}  // namespace packproof
