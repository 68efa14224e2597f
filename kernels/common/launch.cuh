#pragma once

#include "kernels/common/launch_config.h"
#include "kernels/common/platform.cuh"
#include "packproof/kernel_abi.h"

#include <cstdio>

#ifndef __CUDACC__
#include "kernels/simt/launch.h"
#endif

namespace packproof {

/// Starts `kKernel` with `args` by value (pointers and plain structs). On the device the work is
/// enqueued on the stream; on the host it is done when the call returns, and what CUDA calls
/// undefined comes back as PACKPROOF_UNDEFINED_BEHAVIOUR. `message` may be null.
///
///     return launch<scale_rows>({.name = "scale_rows", .grid = {rows}, .block = {128}}, message,
///                               params);
template <auto kKernel, class... Args>
packproof_status launch(const LaunchConfig& config, packproof_message* message, Args... args) {
#ifdef __CUDACC__
  // Above 48 KB a kernel must ask first; the cost is a host-side table look-up.
  constexpr std::size_t kSharedWithoutAsking = 48 * 1024;
  cudaError_t error = cudaSuccess;
  if (config.shared_bytes > kSharedWithoutAsking) {
    error = cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                 static_cast<int>(config.shared_bytes));
  }
  if (error == cudaSuccess) {
    // Unlike <<<>>> this returns the error of this launch, not one that an earlier call left.
    cudaLaunchConfig_t start{};
    start.gridDim = config.grid;
    start.blockDim = config.block;
    start.dynamicSmemBytes = config.shared_bytes;
    start.stream = static_cast<cudaStream_t>(config.stream);
    error = cudaLaunchKernelEx(&start, kKernel, args...);
  }
  if (error == cudaSuccess) return PACKPROOF_OK;
  cudaGetLastError();  // it is reported here, and no later call's
  if (message != nullptr) {
    std::snprintf(message->text, sizeof(message->text), "%s: the launch failed: %s", config.name,
                  cudaGetErrorString(error));
  }
  return PACKPROOF_DEVICE_ERROR;
#else
  auto body = [&args...] { kKernel(args...); };
  return simt::launch(
      config, [](void* context) { (*static_cast<decltype(body)*>(context))(); }, &body, message);
#endif
}

#ifdef __CUDACC__
/// 0 where the current device does not say.
inline int attribute_of_device(cudaDeviceAttr attribute) {
  int device = 0;
  int value = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&value, attribute, device) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return value;
}
#endif

// What launches choose their way by: of the current device, or of the emulated one (simt/launch.h).
// No choice changes a bit.

inline int num_multiprocessors() {
#ifdef __CUDACC__
  return attribute_of_device(cudaDevAttrMultiProcessorCount);
#else
  return simt::num_multiprocessors();
#endif
}

/// Of one block.
inline std::size_t max_shared_bytes() {
#ifdef __CUDACC__
  return static_cast<std::size_t>(attribute_of_device(cudaDevAttrMaxSharedMemoryPerBlockOptin));
#else
  return simt::max_shared_bytes();
#endif
}

}  // namespace packproof
