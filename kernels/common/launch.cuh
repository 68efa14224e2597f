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
    kKernel<<<config.grid, config.block, config.shared_bytes,
              static_cast<cudaStream_t>(config.stream)>>>(args...);
    error = cudaGetLastError();
  }
  if (error == cudaSuccess) return PACKPROOF_OK;
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

/// Multiprocessors of the current device; 1 on the host, where sharing staged data pays most. For
/// choices that change no bit.
inline int num_multiprocessors() {
#ifdef __CUDACC__
  int device = 0;
  int count = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) != cudaSuccess) {
    return 1;
  }
  return count;
#else
  return 1;
#endif
}

}  // namespace packproof
