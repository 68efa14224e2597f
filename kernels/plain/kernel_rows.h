/* The rows of the table: what an op in one direction checks, needs and does. */
#ifndef PACKPROOF_PLAIN_KERNEL_ROWS_H
#define PACKPROOF_PLAIN_KERNEL_ROWS_H

#include "kernels/plain/argument_check.h"
#include "packproof/kernel_abi.h"

/* `arguments` is the op's struct; all but `examine` get a checked call. */
typedef struct plain_row {
  plain_check (*examine)(const void* arguments);
  size_t (*workspace_bytes)(const void* arguments); /* Null: none. */
  void (*compute)(const void* arguments, void* workspace);
} plain_row;

/* causal_conv1d.c, causal_conv1d_bwd.c */
extern const plain_row plain_causal_conv1d_fwd, plain_causal_conv1d_bwd, plain_causal_conv1d_update;

/* gated_delta_rule.c, gated_delta_rule_bwd.c; the chunked op is the same recurrence. */
extern const plain_row plain_gated_delta_rule_fwd, plain_gated_delta_rule_bwd,
    plain_gated_delta_rule_update;

/* norms.c */
extern const plain_row plain_gated_rms_norm_fwd, plain_gated_rms_norm_bwd, plain_rms_norm_fwd,
    plain_rms_norm_bwd, plain_l2norm_fwd, plain_l2norm_bwd;

/* delta_rule_gate.c, rope.c, output_gate.c, swiglu.c */
extern const plain_row plain_delta_rule_gate_fwd, plain_delta_rule_gate_bwd, plain_rope_fwd,
    plain_rope_bwd, plain_output_gate_fwd, plain_output_gate_bwd, plain_swiglu_fwd,
    plain_swiglu_bwd;

/* varlen_attention.c, varlen_attention_bwd.c */
extern const plain_row plain_varlen_attention_fwd, plain_varlen_attention_bwd;

#endif
