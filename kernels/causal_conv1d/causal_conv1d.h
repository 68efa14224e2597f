#pragma once

#include "kernels/common/argument_check.h"
#include "packproof/kernel_abi.h"

namespace packproof {

// Argument checks read host memory only. W from 2 to 8 and no activation or SiLU, else
// NOT_SUPPORTED; states of packed calls need cu_seqlens.

ArgumentCheck check_causal_conv1d_fwd(const packproof_causal_conv1d_fwd_args& args);
ArgumentCheck check_causal_conv1d_update_fwd(const packproof_causal_conv1d_update_args& args);

// Table entries (packproof_kernel::launch). No workspace.

packproof_status launch_causal_conv1d_fwd(const void* args, void* workspace, size_t workspace_bytes,
                                          void* stream, packproof_message* message);
packproof_status launch_causal_conv1d_update_fwd(const void* args, void* workspace,
                                                 size_t workspace_bytes, void* stream,
                                                 packproof_message* message);

}  // namespace packproof
