#pragma once

#include "harness/core/op_call.h"
#include "harness/core/result.h"

namespace packproof {

/// Validates the contents of a call's metadata: cu_seqlens against the token rows, seq_idx,
/// state_indices against the pool. For kernels that receive them on the device alone and can't look.
/// The sentence names the tensor, with what was expected and found.
Status validate_metadata(const OpCall& call);

}  // namespace packproof
