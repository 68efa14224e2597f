/* Every op of the model in fp32 from its definition, forward and backward: the baseline of the same
 * precision that tuned kernels are measured against. One variant a row, for the host. */
#include "kernels/plain/kernel_rows.h"

/* Op, direction, row. */
#define PLAIN_TABLE(X)                                                         \
  X(CAUSAL_CONV1D, FORWARD, plain_causal_conv1d_fwd)                           \
  X(CAUSAL_CONV1D, BACKWARD, plain_causal_conv1d_bwd)                          \
  X(CAUSAL_CONV1D_UPDATE, FORWARD, plain_causal_conv1d_update)                 \
  X(RECURRENT_GATED_DELTA_RULE, FORWARD, plain_gated_delta_rule_fwd)           \
  X(RECURRENT_GATED_DELTA_RULE, BACKWARD, plain_gated_delta_rule_bwd)          \
  X(RECURRENT_GATED_DELTA_RULE_UPDATE, FORWARD, plain_gated_delta_rule_update) \
  X(CHUNK_GATED_DELTA_RULE, FORWARD, plain_gated_delta_rule_fwd)               \
  X(CHUNK_GATED_DELTA_RULE, BACKWARD, plain_gated_delta_rule_bwd)              \
  X(GATED_RMS_NORM, FORWARD, plain_gated_rms_norm_fwd)                         \
  X(GATED_RMS_NORM, BACKWARD, plain_gated_rms_norm_bwd)                        \
  X(RMS_NORM, FORWARD, plain_rms_norm_fwd)                                     \
  X(RMS_NORM, BACKWARD, plain_rms_norm_bwd)                                    \
  X(L2NORM, FORWARD, plain_l2norm_fwd)                                         \
  X(L2NORM, BACKWARD, plain_l2norm_bwd)                                        \
  X(DELTA_RULE_GATE, FORWARD, plain_delta_rule_gate_fwd)                       \
  X(DELTA_RULE_GATE, BACKWARD, plain_delta_rule_gate_bwd)                      \
  X(ROPE, FORWARD, plain_rope_fwd)                                             \
  X(ROPE, BACKWARD, plain_rope_bwd)                                            \
  X(VARLEN_ATTENTION, FORWARD, plain_varlen_attention_fwd)                     \
  X(VARLEN_ATTENTION, BACKWARD, plain_varlen_attention_bwd)                    \
  X(OUTPUT_GATE, FORWARD, plain_output_gate_fwd)                               \
  X(OUTPUT_GATE, BACKWARD, plain_output_gate_bwd)                              \
  X(SWIGLU, FORWARD, plain_swiglu_fwd)                                         \
  X(SWIGLU, BACKWARD, plain_swiglu_bwd)

/* Sizes are read from checked arguments alone. */
static size_t workspace_bytes_of(const plain_row* row, const plain_check* check,
                                 const void* arguments) {
  if (check->status != PACKPROOF_OK || !row->workspace_bytes) return 0;
  return row->workspace_bytes(arguments);
}

static packproof_status run(const plain_row* row, const void* arguments, void* workspace,
                            size_t workspace_bytes, packproof_message* message) {
  plain_check check = row->examine(arguments);
  plain_check_workspace(&check, workspace, workspace_bytes,
                        workspace_bytes_of(row, &check, arguments));
  if (check.status == PACKPROOF_OK) row->compute(arguments, workspace);
  return plain_report(&check, message);
}

/* The table's functions are given the arguments only: each row has its own. */
#define DEFINE_FUNCTIONS(op, direction, row)                                                \
  static const char* unsupported_##op##_##direction(const void* arguments, int32_t sm) {    \
    (void)sm;                                                                               \
    return row.examine(arguments).unsupported;                                              \
  }                                                                                         \
  static size_t workspace_##op##_##direction(const void* arguments) {                       \
    const plain_check check = row.examine(arguments);                                       \
    return workspace_bytes_of(&row, &check, arguments);                                     \
  }                                                                                         \
  static packproof_status launch_##op##_##direction(const void* arguments, void* workspace, \
                                                    size_t workspace_bytes, void* stream,   \
                                                    packproof_message* message) {           \
    (void)stream;                                                                           \
    return run(&row, arguments, workspace, workspace_bytes, message);                       \
  }
PLAIN_TABLE(DEFINE_FUNCTIONS)

#define ENTRY(op, direction, row)  \
  {sizeof(packproof_kernel),       \
   PACKPROOF_##op,                 \
   PACKPROOF_##direction,          \
   #row,                           \
   unsupported_##op##_##direction, \
   workspace_##op##_##direction,   \
   launch_##op##_##direction,      \
   PACKPROOF_CONTENTS_CHECKED,     \
   0},
static const packproof_kernel kKernels[] = {PLAIN_TABLE(ENTRY)};

static const packproof_library kLibrary = {
    .struct_size = sizeof(packproof_library),
    .abi_version = PACKPROOF_ABI_VERSION,
    .device = PACKPROOF_DEVICE_HOST,
    .name = "packproof_plain",
    .version = "1.0",
    .num_kernels = sizeof kKernels / sizeof *kKernels,
    .kernels = kKernels,
    .bitwise_pack_invariant = 1,
    .features = PACKPROOF_FEATURE_STATE_POOL,
};

const packproof_library* packproof_kernel_library(void) { return &kLibrary; }
