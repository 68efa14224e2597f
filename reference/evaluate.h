#pragma once

#include "harness/core/op_call.h"
#include "harness/core/result.h"
#include "reference/op_call_reader.h"
#include "reference/reference.h"
#include "reference/rounding.h"

namespace packproof::reference {

/// Forward or backward of one op in double (see Reference::evaluate): the outputs that the call
/// names, zero where no row is owned, and a bound on the float32 error of each. Calls that
/// contradict their op, and values that are not finite, are refused by name.
Result<OpResult> evaluate(const OpCall& call, const EvaluateOptions& options = {});

/// See Reference::emulate; other ops and directions are refused.
Result<TensorMap> emulate(const OpCall& call, EmulatedPrecision precision);

// One file per op or family of ops.
Result<OpResult> evaluate_causal_conv1d(const OpCallReader& reader);
Result<OpResult> evaluate_causal_conv1d_update(const OpCallReader& reader);
Result<OpResult> evaluate_gated_delta_rule(const OpCallReader& reader);
Result<OpResult> evaluate_gated_delta_rule_bwd(const OpCallReader& reader,
                                               const DeltaRuleRounding& rounding = {});
Result<OpResult> evaluate_gated_delta_rule_update(const OpCallReader& reader);
Result<OpResult> evaluate_norm(const OpCallReader& reader);
Result<OpResult> evaluate_gate(const OpCallReader& reader);
Result<OpResult> evaluate_rope(const OpCallReader& reader);
Result<OpResult> evaluate_varlen_attention(const OpCallReader& reader);

}  // namespace packproof::reference
