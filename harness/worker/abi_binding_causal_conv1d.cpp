#include "harness/worker/abi_binding.h"

namespace packproof {

namespace {

int32_t activation_of(const OpCall& call) {
  return call.attributes.activation == Activation::kSilu ? PACKPROOF_SILU : PACKPROOF_NONE;
}

}  // namespace

ArgumentBlock bind_causal_conv1d(const OpCall& call, const CallBuffers& buffers) {
  if (call.direction == Direction::kForward) {
    return std::make_shared<packproof_causal_conv1d_fwd_args>(packproof_causal_conv1d_fwd_args{
        .struct_size = sizeof(packproof_causal_conv1d_fwd_args),
        .packing = buffers.packing("x"),
        .x = buffers.tensor("x"),
        .weight = buffers.tensor("weight"),
        .bias = buffers.tensor("bias"),
        .initial_state = buffers.tensor("initial_state"),
        .output = buffers.tensor("output"),
        .final_state = buffers.tensor("final_state"),
        .activation = activation_of(call),
        .reserved = 0,
    });
  }
  return std::make_shared<packproof_causal_conv1d_bwd_args>(packproof_causal_conv1d_bwd_args{
      .struct_size = sizeof(packproof_causal_conv1d_bwd_args),
      .packing = buffers.packing("x"),
      .x = buffers.tensor("x"),
      .weight = buffers.tensor("weight"),
      .bias = buffers.tensor("bias"),
      .initial_state = buffers.tensor("initial_state"),
      .d_output = buffers.tensor("d_output"),
      .d_final_state = buffers.tensor("d_final_state"),
      .d_x = buffers.tensor("d_x"),
      .d_weight = buffers.tensor("d_weight"),
      .d_bias = buffers.tensor("d_bias"),
      .d_initial_state = buffers.tensor("d_initial_state"),
      .activation = activation_of(call),
      .reserved = 0,
  });
}

ArgumentBlock bind_causal_conv1d_update(const OpCall& call, const CallBuffers& buffers) {
  return std::make_shared<packproof_causal_conv1d_update_args>(packproof_causal_conv1d_update_args{
      .struct_size = sizeof(packproof_causal_conv1d_update_args),
      .x = buffers.tensor("x"),
      .weight = buffers.tensor("weight"),
      .bias = buffers.tensor("bias"),
      .conv_state = buffers.tensor("conv_state"),
      .state_indices = buffers.tensor("state_indices"),
      .state_indices_host = static_cast<const int32_t*>(buffers.host_copy("state_indices")),
      .output = buffers.tensor("output"),
      .activation = activation_of(call),
      .reserved = 0,
  });
}

}  // namespace packproof
