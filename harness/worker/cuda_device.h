#pragma once

#include "harness/core/result.h"
#include "harness/worker/device.h"

#include <memory>

namespace packproof {

/// The first CUDA device, through the driver's own interface (libcuda.so.1, loaded when asked for),
/// so that building packproof needs no CUDA. Kernels share its primary context, which is the one
/// that the CUDA runtime uses. Guards are canary zones of 4 KiB on both sides of a buffer; they show
/// writes, not reads. kInfrastructure, in one sentence, without a driver or a device.
Result<std::unique_ptr<Device>> make_cuda_device();

}  // namespace packproof
