#pragma once

#include "kernels/common/argument_check.h"
#include "packproof/kernel_abi.h"

namespace packproof {

// Argument checks read host memory only. K and V: multiples of 4 (chunked: any) up to 256, else
// NOT_SUPPORTED; so is f32 in the chunked op, and what does not fill tiles of 64 or 128 keys in its
// variant for sm_90.

ArgumentCheck check_recurrent_gated_delta_rule_fwd(const packproof_gated_delta_rule_fwd_args& args);
ArgumentCheck check_recurrent_gated_delta_rule_update_fwd(
    const packproof_gated_delta_rule_update_args& args);
ArgumentCheck check_chunk_gated_delta_rule_fwd(const packproof_gated_delta_rule_fwd_args& args);
ArgumentCheck check_chunk_gated_delta_rule_fwd_sm90(
    const packproof_gated_delta_rule_fwd_args& args);

/// Of arguments that one of these took: `found` bytes of workspace where `expected` are needed, apart
/// from every tensor.
ArgumentCheck check_chunk_gated_delta_rule_workspace(
    const packproof_gated_delta_rule_fwd_args& args, const void* workspace, size_t found,
    size_t expected, size_t alignment);

// Table entries (packproof_kernel::launch). Only the chunked op takes a workspace.

packproof_status launch_recurrent_gated_delta_rule_fwd(const void* args, void* workspace,
                                                       size_t workspace_bytes, void* stream,
                                                       packproof_message* message);
packproof_status launch_recurrent_gated_delta_rule_update_fwd(const void* args, void* workspace,
                                                              size_t workspace_bytes, void* stream,
                                                              packproof_message* message);
packproof_status launch_chunk_gated_delta_rule_fwd(const void* args, void* workspace,
                                                   size_t workspace_bytes, void* stream,
                                                   packproof_message* message);
packproof_status launch_chunk_gated_delta_rule_fwd_sm90(const void* args, void* workspace,
                                                        size_t workspace_bytes, void* stream,
                                                        packproof_message* message);

/// packproof_kernel::workspace_size; 0 for arguments that `launch` refuses.
size_t chunk_gated_delta_rule_fwd_workspace(const void* args);
size_t chunk_gated_delta_rule_fwd_sm90_workspace(const void* args);

}  // namespace packproof
