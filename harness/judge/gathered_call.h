#pragma once

#include "harness/judge/call_mapping.h"
#include "harness/judge/sequences.h"
#include "harness/ops/packed_call.h"

#include <vector>

namespace packproof {

/// The tokens of some spans of a captured call as one pack, and what the call gave for them.
struct GatheredCall {
  Realised realised;  ///< One sequence per span; rows of states not to be judged are kUntouched.
  TensorMap got;      ///< By output name, in the same rows.
};

/// `states` says whether the call's states belong to the spans, one each: else they are left out.
/// Backward gathers what arrived and what was given back. The error says why it cannot be done.
Result<GatheredCall> gather_call(const MappedCall& call, const std::vector<Span>& spans,
                                 Direction direction, bool states);

}  // namespace packproof
