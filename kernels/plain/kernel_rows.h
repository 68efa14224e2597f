/* The functions of every row of the table, by op and direction. */
#ifndef PACKPROOF_PLAIN_KERNEL_ROWS_H
#define PACKPROOF_PLAIN_KERNEL_ROWS_H

#include "packproof/kernel_abi.h"

typedef const char* plain_unsupported_reason(const void* arguments, int32_t sm);
typedef size_t plain_workspace_size(const void* arguments);
typedef packproof_status plain_launch(const void* arguments, void* workspace,
                                      size_t workspace_bytes, void* stream,
                                      packproof_message* message);

/* causal_conv1d.c, causal_conv1d_bwd.c */
plain_unsupported_reason plain_causal_conv1d_fwd_unsupported, plain_causal_conv1d_bwd_unsupported,
    plain_causal_conv1d_update_unsupported;
plain_workspace_size plain_causal_conv1d_fwd_workspace, plain_causal_conv1d_bwd_workspace;
plain_launch plain_causal_conv1d_fwd, plain_causal_conv1d_bwd, plain_causal_conv1d_update;

/* gated_delta_rule.c, gated_delta_rule_bwd.c; the chunked op is the same recurrence. */
plain_unsupported_reason plain_gated_delta_rule_fwd_unsupported,
    plain_gated_delta_rule_bwd_unsupported, plain_gated_delta_rule_update_unsupported;
plain_workspace_size plain_gated_delta_rule_fwd_workspace, plain_gated_delta_rule_bwd_workspace,
    plain_gated_delta_rule_update_workspace;
plain_launch plain_gated_delta_rule_fwd, plain_gated_delta_rule_bwd, plain_gated_delta_rule_update;

/* norms.c */
plain_unsupported_reason plain_gated_rms_norm_fwd_unsupported, plain_gated_rms_norm_bwd_unsupported,
    plain_rms_norm_fwd_unsupported, plain_rms_norm_bwd_unsupported, plain_l2norm_fwd_unsupported,
    plain_l2norm_bwd_unsupported;
plain_workspace_size plain_gated_rms_norm_bwd_workspace, plain_rms_norm_bwd_workspace;
plain_launch plain_gated_rms_norm_fwd, plain_gated_rms_norm_bwd, plain_rms_norm_fwd,
    plain_rms_norm_bwd, plain_l2norm_fwd, plain_l2norm_bwd;

/* delta_rule_gate.c, rope.c, output_gate.c, swiglu.c */
plain_unsupported_reason plain_delta_rule_gate_fwd_unsupported,
    plain_delta_rule_gate_bwd_unsupported, plain_rope_fwd_unsupported, plain_rope_bwd_unsupported,
    plain_output_gate_fwd_unsupported, plain_output_gate_bwd_unsupported,
    plain_swiglu_fwd_unsupported, plain_swiglu_bwd_unsupported;
plain_launch plain_delta_rule_gate_fwd, plain_delta_rule_gate_bwd, plain_rope_fwd, plain_rope_bwd,
    plain_output_gate_fwd, plain_output_gate_bwd, plain_swiglu_fwd, plain_swiglu_bwd;

/* varlen_attention.c, varlen_attention_bwd.c */
plain_unsupported_reason plain_varlen_attention_fwd_unsupported,
    plain_varlen_attention_bwd_unsupported;
plain_workspace_size plain_varlen_attention_fwd_workspace, plain_varlen_attention_bwd_workspace;
plain_launch plain_varlen_attention_fwd, plain_varlen_attention_bwd;

#endif
