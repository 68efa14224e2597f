#include "harness/worker/cuda_driver.h"

#include <type_traits>

#include <dlfcn.h>

namespace packproof::cuda {

Status Driver::check(CUresult result, const std::string& what) const {
  if (result == kSuccess) return {};
  const char* text = nullptr;
  if (error_string(result, &text) != kSuccess || text == nullptr) text = "unknown error";
  return infrastructure_error("CUDA: " + what + " failed: " + text + " (error " +
                              std::to_string(result) + ")");
}

Result<Driver> load_driver() {
  void* handle = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return infrastructure_error(
        "the library runs on a CUDA device, and this machine has no CUDA driver (libcuda.so.1)");
  }
  Driver driver;
  const char* missing = nullptr;
  const auto find = [&](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(handle, name));
    if (function == nullptr) missing = name;
  };
  find(driver.init, "cuInit");
  find(driver.error_string, "cuGetErrorString");
  find(driver.device_count, "cuDeviceGetCount");
  find(driver.device_get, "cuDeviceGet");
  find(driver.device_name, "cuDeviceGetName");
  find(driver.device_attribute, "cuDeviceGetAttribute");
  find(driver.primary_context, "cuDevicePrimaryCtxRetain");
  find(driver.set_context, "cuCtxSetCurrent");
  find(driver.stream_create, "cuStreamCreate");
  find(driver.stream_synchronize, "cuStreamSynchronize");
  find(driver.allocate, "cuMemAlloc_v2");
  find(driver.release, "cuMemFree_v2");
  find(driver.set, "cuMemsetD8_v2");
  find(driver.to_device, "cuMemcpyHtoD_v2");
  find(driver.to_host, "cuMemcpyDtoH_v2");
  find(driver.context_synchronize, "cuCtxSynchronize");
  find(driver.event_create, "cuEventCreate");
  find(driver.event_record, "cuEventRecord");
  find(driver.event_elapsed, "cuEventElapsedTime");
  find(driver.copy_on_stream, "cuMemcpyDtoDAsync_v2");
  find(driver.begin_capture, "cuStreamBeginCapture_v2");
  find(driver.end_capture, "cuStreamEndCapture");
  find(driver.instantiate, "cuGraphInstantiateWithFlags");
  find(driver.launch_graph, "cuGraphLaunch");
  find(driver.destroy_graph, "cuGraphDestroy");
  find(driver.destroy_instance, "cuGraphExecDestroy");
  if (missing != nullptr) {
    return infrastructure_error(std::string("the CUDA driver has no function ") + missing);
  }
  return driver;
}

}  // namespace packproof::cuda
