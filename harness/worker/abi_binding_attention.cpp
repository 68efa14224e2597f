#include "harness/worker/abi_binding.h"

namespace packproof {

ArgumentBlock bind_rope(const OpCall& call, const CallBuffers& buffers) {
  if (call.direction == Direction::kForward) {
    return std::make_shared<packproof_rope_fwd_args>(packproof_rope_fwd_args{
        .struct_size = sizeof(packproof_rope_fwd_args),
        .x = buffers.tensor("x"),
        .position_ids = buffers.tensor("position_ids"),
        .output = buffers.tensor("output"),
        .theta = call.attributes.rope_theta,
        .rotary_dim = static_cast<int32_t>(call.attributes.rotary_dim),
        .reserved = 0,
    });
  }
  return std::make_shared<packproof_rope_bwd_args>(packproof_rope_bwd_args{
      .struct_size = sizeof(packproof_rope_bwd_args),
      .position_ids = buffers.tensor("position_ids"),
      .d_output = buffers.tensor("d_output"),
      .d_x = buffers.tensor("d_x"),
      .theta = call.attributes.rope_theta,
      .rotary_dim = static_cast<int32_t>(call.attributes.rotary_dim),
      .reserved = 0,
  });
}

ArgumentBlock bind_varlen_attention(const OpCall& call, const CallBuffers& buffers) {
  if (call.direction == Direction::kForward) {
    return std::make_shared<packproof_varlen_attention_fwd_args>(
        packproof_varlen_attention_fwd_args{
            .struct_size = sizeof(packproof_varlen_attention_fwd_args),
            .packing = buffers.packing("q"),
            .q = buffers.tensor("q"),
            .k = buffers.tensor("k"),
            .v = buffers.tensor("v"),
            .output = buffers.tensor("output"),
            .lse = buffers.tensor("lse"),
            .scale = static_cast<float>(call.attributes.scale),
            .reserved = 0,
        });
  }
  return std::make_shared<packproof_varlen_attention_bwd_args>(packproof_varlen_attention_bwd_args{
      .struct_size = sizeof(packproof_varlen_attention_bwd_args),
      .packing = buffers.packing("q"),
      .q = buffers.tensor("q"),
      .k = buffers.tensor("k"),
      .v = buffers.tensor("v"),
      .output = buffers.tensor("output"),
      .lse = buffers.tensor("lse"),
      .d_output = buffers.tensor("d_output"),
      .d_q = buffers.tensor("d_q"),
      .d_k = buffers.tensor("d_k"),
      .d_v = buffers.tensor("d_v"),
      .scale = static_cast<float>(call.attributes.scale),
      .reserved = 0,
  });
}

}  // namespace packproof
