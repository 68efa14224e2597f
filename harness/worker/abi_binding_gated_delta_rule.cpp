#include "harness/worker/abi_binding.h"

namespace packproof {

ArgumentBlock bind_gated_delta_rule(const OpCall& call, const CallBuffers& buffers) {
  if (call.direction == Direction::kForward) {
    return std::make_shared<packproof_gated_delta_rule_fwd_args>(
        packproof_gated_delta_rule_fwd_args{
            .struct_size = sizeof(packproof_gated_delta_rule_fwd_args),
            .packing = buffers.packing("q"),
            .q = buffers.tensor("q"),
            .k = buffers.tensor("k"),
            .v = buffers.tensor("v"),
            .g = buffers.tensor("g"),
            .a = buffers.tensor("a"),
            .A_log = buffers.tensor("A_log"),
            .dt_bias = buffers.tensor("dt_bias"),
            .beta = buffers.tensor("beta"),
            .initial_state = buffers.tensor("initial_state"),
            .output = buffers.tensor("output"),
            .final_state = buffers.tensor("final_state"),
            .scale = static_cast<float>(call.attributes.scale),
            .qk_l2norm = call.attributes.qk_l2norm ? 1 : 0,
            .chunk_size = static_cast<int32_t>(call.attributes.chunk_size),
            .reserved = 0,
            .state = buffers.tensor("state"),
            .state_indices = buffers.tensor("state_indices"),
            .state_indices_host = static_cast<const int32_t*>(buffers.host_copy("state_indices")),
        });
  }
  return std::make_shared<packproof_gated_delta_rule_bwd_args>(packproof_gated_delta_rule_bwd_args{
      .struct_size = sizeof(packproof_gated_delta_rule_bwd_args),
      .packing = buffers.packing("q"),
      .q = buffers.tensor("q"),
      .k = buffers.tensor("k"),
      .v = buffers.tensor("v"),
      .g = buffers.tensor("g"),
      .a = buffers.tensor("a"),
      .A_log = buffers.tensor("A_log"),
      .dt_bias = buffers.tensor("dt_bias"),
      .beta = buffers.tensor("beta"),
      .initial_state = buffers.tensor("initial_state"),
      .d_output = buffers.tensor("d_output"),
      .d_final_state = buffers.tensor("d_final_state"),
      .d_q = buffers.tensor("d_q"),
      .d_k = buffers.tensor("d_k"),
      .d_v = buffers.tensor("d_v"),
      .d_g = buffers.tensor("d_g"),
      .d_a = buffers.tensor("d_a"),
      .d_A_log = buffers.tensor("d_A_log"),
      .d_dt_bias = buffers.tensor("d_dt_bias"),
      .d_beta = buffers.tensor("d_beta"),
      .d_initial_state = buffers.tensor("d_initial_state"),
      .scale = static_cast<float>(call.attributes.scale),
      .qk_l2norm = call.attributes.qk_l2norm ? 1 : 0,
      .chunk_size = static_cast<int32_t>(call.attributes.chunk_size),
      .reserved = 0,
  });
}

ArgumentBlock bind_gated_delta_rule_update(const OpCall& call, const CallBuffers& buffers) {
  return std::make_shared<packproof_gated_delta_rule_update_args>(
      packproof_gated_delta_rule_update_args{
          .struct_size = sizeof(packproof_gated_delta_rule_update_args),
          .q = buffers.tensor("q"),
          .k = buffers.tensor("k"),
          .v = buffers.tensor("v"),
          .g = buffers.tensor("g"),
          .a = buffers.tensor("a"),
          .A_log = buffers.tensor("A_log"),
          .dt_bias = buffers.tensor("dt_bias"),
          .beta = buffers.tensor("beta"),
          .state = buffers.tensor("state"),
          .state_indices = buffers.tensor("state_indices"),
          .state_indices_host = static_cast<const int32_t*>(buffers.host_copy("state_indices")),
          .output = buffers.tensor("output"),
          .scale = static_cast<float>(call.attributes.scale),
          .qk_l2norm = call.attributes.qk_l2norm ? 1 : 0,
      });
}

ArgumentBlock bind_delta_rule_gate(const OpCall& call, const CallBuffers& buffers) {
  if (call.direction == Direction::kForward) {
    return std::make_shared<packproof_delta_rule_gate_fwd_args>(packproof_delta_rule_gate_fwd_args{
        .struct_size = sizeof(packproof_delta_rule_gate_fwd_args),
        .a = buffers.tensor("a"),
        .b = buffers.tensor("b"),
        .A_log = buffers.tensor("A_log"),
        .dt_bias = buffers.tensor("dt_bias"),
        .g = buffers.tensor("g"),
        .beta = buffers.tensor("beta"),
    });
  }
  return std::make_shared<packproof_delta_rule_gate_bwd_args>(packproof_delta_rule_gate_bwd_args{
      .struct_size = sizeof(packproof_delta_rule_gate_bwd_args),
      .a = buffers.tensor("a"),
      .b = buffers.tensor("b"),
      .A_log = buffers.tensor("A_log"),
      .dt_bias = buffers.tensor("dt_bias"),
      .d_g = buffers.tensor("d_g"),
      .d_beta = buffers.tensor("d_beta"),
      .d_a = buffers.tensor("d_a"),
      .d_b = buffers.tensor("d_b"),
      .d_A_log = buffers.tensor("d_A_log"),
      .d_dt_bias = buffers.tensor("d_dt_bias"),
  });
}

}  // namespace packproof
