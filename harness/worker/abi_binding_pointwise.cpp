#include "harness/worker/abi_binding.h"

namespace packproof {

ArgumentBlock bind_output_gate(const OpCall& call, const CallBuffers& buffers) {
  if (call.direction == Direction::kForward) {
    return std::make_shared<packproof_output_gate_fwd_args>(packproof_output_gate_fwd_args{
        .struct_size = sizeof(packproof_output_gate_fwd_args),
        .x = buffers.tensor("x"),
        .gate = buffers.tensor("gate"),
        .output = buffers.tensor("output"),
    });
  }
  return std::make_shared<packproof_output_gate_bwd_args>(packproof_output_gate_bwd_args{
      .struct_size = sizeof(packproof_output_gate_bwd_args),
      .x = buffers.tensor("x"),
      .gate = buffers.tensor("gate"),
      .d_output = buffers.tensor("d_output"),
      .d_x = buffers.tensor("d_x"),
      .d_gate = buffers.tensor("d_gate"),
  });
}

ArgumentBlock bind_swiglu(const OpCall& call, const CallBuffers& buffers) {
  if (call.direction == Direction::kForward) {
    return std::make_shared<packproof_swiglu_fwd_args>(packproof_swiglu_fwd_args{
        .struct_size = sizeof(packproof_swiglu_fwd_args),
        .gate = buffers.tensor("gate"),
        .up = buffers.tensor("up"),
        .output = buffers.tensor("output"),
    });
  }
  return std::make_shared<packproof_swiglu_bwd_args>(packproof_swiglu_bwd_args{
      .struct_size = sizeof(packproof_swiglu_bwd_args),
      .gate = buffers.tensor("gate"),
      .up = buffers.tensor("up"),
      .d_output = buffers.tensor("d_output"),
      .d_gate = buffers.tensor("d_gate"),
      .d_up = buffers.tensor("d_up"),
  });
}

}  // namespace packproof
