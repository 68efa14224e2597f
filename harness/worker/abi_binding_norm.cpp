#include "harness/worker/abi_binding.h"

namespace packproof {

ArgumentBlock bind_gated_rms_norm(const OpCall& call, const CallBuffers& buffers) {
  if (call.direction == Direction::kForward) {
    return std::make_shared<packproof_gated_rms_norm_fwd_args>(packproof_gated_rms_norm_fwd_args{
        .struct_size = sizeof(packproof_gated_rms_norm_fwd_args),
        .x = buffers.tensor("x"),
        .z = buffers.tensor("z"),
        .weight = buffers.tensor("weight"),
        .output = buffers.tensor("output"),
        .eps = static_cast<float>(call.attributes.eps),
        .reserved = 0,
    });
  }
  return std::make_shared<packproof_gated_rms_norm_bwd_args>(packproof_gated_rms_norm_bwd_args{
      .struct_size = sizeof(packproof_gated_rms_norm_bwd_args),
      .x = buffers.tensor("x"),
      .z = buffers.tensor("z"),
      .weight = buffers.tensor("weight"),
      .d_output = buffers.tensor("d_output"),
      .d_x = buffers.tensor("d_x"),
      .d_z = buffers.tensor("d_z"),
      .d_weight = buffers.tensor("d_weight"),
      .eps = static_cast<float>(call.attributes.eps),
      .reserved = 0,
  });
}

ArgumentBlock bind_rms_norm(const OpCall& call, const CallBuffers& buffers) {
  if (call.direction == Direction::kForward) {
    return std::make_shared<packproof_rms_norm_fwd_args>(packproof_rms_norm_fwd_args{
        .struct_size = sizeof(packproof_rms_norm_fwd_args),
        .x = buffers.tensor("x"),
        .weight = buffers.tensor("weight"),
        .output = buffers.tensor("output"),
        .eps = static_cast<float>(call.attributes.eps),
        .reserved = 0,
    });
  }
  return std::make_shared<packproof_rms_norm_bwd_args>(packproof_rms_norm_bwd_args{
      .struct_size = sizeof(packproof_rms_norm_bwd_args),
      .x = buffers.tensor("x"),
      .weight = buffers.tensor("weight"),
      .d_output = buffers.tensor("d_output"),
      .d_x = buffers.tensor("d_x"),
      .d_weight = buffers.tensor("d_weight"),
      .eps = static_cast<float>(call.attributes.eps),
      .reserved = 0,
  });
}

ArgumentBlock bind_l2norm(const OpCall& call, const CallBuffers& buffers) {
  if (call.direction == Direction::kForward) {
    return std::make_shared<packproof_l2norm_fwd_args>(packproof_l2norm_fwd_args{
        .struct_size = sizeof(packproof_l2norm_fwd_args),
        .x = buffers.tensor("x"),
        .output = buffers.tensor("output"),
        .eps = static_cast<float>(call.attributes.eps),
        .reserved = 0,
    });
  }
  return std::make_shared<packproof_l2norm_bwd_args>(packproof_l2norm_bwd_args{
      .struct_size = sizeof(packproof_l2norm_bwd_args),
      .x = buffers.tensor("x"),
      .d_output = buffers.tensor("d_output"),
      .d_x = buffers.tensor("d_x"),
      .eps = static_cast<float>(call.attributes.eps),
      .reserved = 0,
  });
}

}  // namespace packproof
