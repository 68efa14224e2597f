#pragma once

#include "harness/core/result.h"

#include <cstddef>
#include <string>

namespace packproof::cuda {

// The few declarations of the CUDA driver interface (cuda.h) that are used here.
using CUresult = int;
using CUdevice = int;
using CUcontext = void*;
using CUstream = void*;
using CUevent = void*;
using CUgraph = void*;
using CUgraphExec = void*;
using CUdeviceptr = unsigned long long;

inline constexpr CUresult kSuccess = 0;

/// The driver's functions, found in libcuda.so.1 when a device is asked for: packproof builds and
/// runs without CUDA.
struct Driver {
  CUresult (*init)(unsigned) = nullptr;
  CUresult (*error_string)(CUresult, const char**) = nullptr;
  CUresult (*device_count)(int*) = nullptr;
  CUresult (*device_get)(CUdevice*, int) = nullptr;
  CUresult (*device_name)(char*, int, CUdevice) = nullptr;
  CUresult (*device_attribute)(int*, int, CUdevice) = nullptr;
  CUresult (*primary_context)(CUcontext*, CUdevice) = nullptr;
  CUresult (*set_context)(CUcontext) = nullptr;
  CUresult (*stream_create)(CUstream*, unsigned) = nullptr;
  CUresult (*stream_synchronize)(CUstream) = nullptr;
  CUresult (*allocate)(CUdeviceptr*, std::size_t) = nullptr;
  CUresult (*release)(CUdeviceptr) = nullptr;
  CUresult (*set)(CUdeviceptr, unsigned char, std::size_t) = nullptr;
  CUresult (*to_device)(CUdeviceptr, const void*, std::size_t) = nullptr;
  CUresult (*to_host)(void*, CUdeviceptr, std::size_t) = nullptr;
  CUresult (*context_synchronize)() = nullptr;
  CUresult (*event_create)(CUevent*, unsigned) = nullptr;
  CUresult (*event_record)(CUevent, CUstream) = nullptr;
  CUresult (*event_elapsed)(float*, CUevent, CUevent) = nullptr;
  CUresult (*copy_on_stream)(CUdeviceptr, CUdeviceptr, std::size_t, CUstream) = nullptr;
  CUresult (*begin_capture)(CUstream, int) = nullptr;
  CUresult (*end_capture)(CUstream, CUgraph*) = nullptr;
  CUresult (*instantiate)(CUgraphExec*, CUgraph, unsigned long long) = nullptr;
  CUresult (*launch_graph)(CUgraphExec, CUstream) = nullptr;
  CUresult (*destroy_graph)(CUgraph) = nullptr;
  CUresult (*destroy_instance)(CUgraphExec) = nullptr;

  /// An error that names what failed and the driver's own text for it.
  Status check(CUresult result, const std::string& what) const;
};

/// kInfrastructure where this machine has no driver, or one without a function that is needed.
Result<Driver> load_driver();

}  // namespace packproof::cuda
