#pragma once

#include "harness/core/op_call.h"
#include "harness/core/result.h"
#include "harness/worker/call_buffers.h"

#include <memory>

namespace packproof {

/// The argument struct of one op and direction (kernel_abi.h), owned; its tensors point into the
/// buffers of the call. Tensors that the call leaves out stay absent, and nothing is judged here:
/// refusing bad arguments is the kernel's duty.
using ArgumentBlock = std::shared_ptr<const void>;

/// kInvalidInput when the op has no such direction or no tensor of a name that the call uses.
Result<ArgumentBlock> bind_arguments(const OpCall& call, const CallBuffers& buffers);

/// One function per op family; `bind_arguments` chooses. The direction exists.
ArgumentBlock bind_causal_conv1d(const OpCall& call, const CallBuffers& buffers);
ArgumentBlock bind_causal_conv1d_update(const OpCall& call, const CallBuffers& buffers);
ArgumentBlock bind_gated_delta_rule(const OpCall& call, const CallBuffers& buffers);
ArgumentBlock bind_gated_delta_rule_update(const OpCall& call, const CallBuffers& buffers);
ArgumentBlock bind_gated_rms_norm(const OpCall& call, const CallBuffers& buffers);
ArgumentBlock bind_rms_norm(const OpCall& call, const CallBuffers& buffers);
ArgumentBlock bind_l2norm(const OpCall& call, const CallBuffers& buffers);
ArgumentBlock bind_delta_rule_gate(const OpCall& call, const CallBuffers& buffers);
ArgumentBlock bind_rope(const OpCall& call, const CallBuffers& buffers);
ArgumentBlock bind_varlen_attention(const OpCall& call, const CallBuffers& buffers);
ArgumentBlock bind_output_gate(const OpCall& call, const CallBuffers& buffers);
ArgumentBlock bind_swiglu(const OpCall& call, const CallBuffers& buffers);

}  // namespace packproof
