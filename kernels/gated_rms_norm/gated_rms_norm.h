#pragma once

#include "kernels/common/argument_check.h"
#include "packproof/kernel_abi.h"

namespace packproof {

/// Reads host memory only.
ArgumentCheck check_gated_rms_norm_fwd(const packproof_gated_rms_norm_fwd_args& args);

/// Table entry (packproof_kernel::launch). No workspace.
packproof_status launch_gated_rms_norm_fwd(const void* args, void* workspace,
                                           size_t workspace_bytes, void* stream,
                                           packproof_message* message);

}  // namespace packproof
