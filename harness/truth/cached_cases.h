#pragma once

#include "harness/core/result.h"
#include "harness/core/tensor.h"
#include "harness/truth/tally.h"
#include "reference/reference.h"

#include <cstdint>
#include <map>
#include <string>

namespace packproof {

/// Compares final states by layer with GROUP/conv_state/LL and GROUP/recurrent_state/LL.
void compare_states(OracleTally& tally, const std::string& group,
                    const std::map<int64_t, Tensor>& conv_state,
                    const std::map<int64_t, Tensor>& recurrent_state, const std::string& way);

/// The groups that are no packed batch: cached, cached_left_padded, mask_with_holes, mrope. An
/// unknown group is left to the tally, which lists its tensors as skipped.
Status walk_special_case(const reference::Model& model, OracleTally& tally,
                         const std::string& group);

}  // namespace packproof
