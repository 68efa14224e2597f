#pragma once

#include "harness/candidate/message.h"
#include "harness/worker/device.h"
#include "harness/worker/kernel_library.h"

namespace packproof {

/// Runs one call on a library's kernel: guarded buffers, binding, selection, workspace, schedule,
/// launch, and what the guards found. Every failure is a status with a sentence.
CallResult run_call(const KernelLibrary& library, Device& device, const CallRequest& request);

}  // namespace packproof
