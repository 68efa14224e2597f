#include "harness/worker/cuda_device.h"

#include "harness/worker/host_device.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <dlfcn.h>

namespace packproof {

namespace {

// The few declarations of the CUDA driver interface (cuda.h) that are used here.
using CUresult = int;
using CUdevice = int;
using CUcontext = void*;
using CUstream = void*;
using CUevent = void*;
using CUdeviceptr = unsigned long long;

constexpr CUresult kSuccess = 0;
constexpr int kComputeCapabilityMajor = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int kComputeCapabilityMinor = 76;
constexpr std::size_t kZoneBytes = 4096;
constexpr std::size_t kBaseAlignment = 256;  // What cuMemAlloc promises.

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

  Status check(CUresult result, const std::string& what) const {
    if (result == kSuccess) return {};
    const char* text = nullptr;
    if (error_string(result, &text) != kSuccess || text == nullptr) text = "unknown error";
    return infrastructure_error("CUDA: " + what + " failed: " + text + " (error " +
                                std::to_string(result) + ")");
  }
};

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
  if (missing != nullptr) {
    return infrastructure_error(std::string("the CUDA driver has no function ") + missing);
  }
  return driver;
}

class CudaBuffer : public GuardedBuffer {
 public:
  CudaBuffer(const Driver& driver, const BufferRequest& request, CUdeviceptr base,
             std::size_t total, std::size_t begin)
      : driver_(driver), request_(request), base_(base), total_(total), begin_(begin) {}

  CudaBuffer(const CudaBuffer&) = delete;
  CudaBuffer& operator=(const CudaBuffer&) = delete;

  ~CudaBuffer() override { driver_.release(base_); }

  void* address() const override { return reinterpret_cast<void*>(base_ + begin_); }

  Status write(std::span<const std::byte> content) override {
    if (content.empty()) return {};
    return driver_.check(driver_.to_device(base_ + begin_, content.data(), request_.bytes),
                         "copying '" + request_.name + "' to the device");
  }

  Status fill(std::byte value) override {
    if (request_.bytes == 0) return {};
    return driver_.check(
        driver_.set(base_ + begin_, std::to_integer<unsigned char>(value), request_.bytes),
        "filling '" + request_.name + "'");
  }

  Status read(std::span<std::byte> content) const override {
    return copy_back(begin_, content.first(request_.bytes));
  }

  Result<GuardDamage> damage() const override {
    std::vector<std::byte> front(begin_);
    std::vector<std::byte> back(total_ - begin_ - request_.bytes);
    PACKPROOF_CHECK_OK(copy_back(0, front));
    PACKPROOF_CHECK_OK(copy_back(begin_ + request_.bytes, back));
    const auto intact = [this](std::byte value) { return value == request_.canary; };
    return GuardDamage{!std::ranges::all_of(front, intact), !std::ranges::all_of(back, intact)};
  }

 private:
  Status copy_back(std::size_t offset, std::span<std::byte> target) const {
    if (target.empty()) return {};
    return driver_.check(driver_.to_host(target.data(), base_ + offset, target.size()),
                         "copying '" + request_.name + "' from the device");
  }

  const Driver& driver_;
  BufferRequest request_;
  CUdeviceptr base_;
  std::size_t total_;
  std::size_t begin_;
};

class CudaDevice : public Device {
 public:
  CudaDevice(Driver driver, std::string name, int32_t sm, CUstream stream)
      : driver_(driver), name_(std::move(name)), sm_(sm), stream_(stream) {}

  std::string name() const override { return name_; }

  int32_t sm() const override { return sm_; }

  void* stream() const override { return stream_; }

  Status synchronize() override {
    return driver_.check(driver_.stream_synchronize(stream_), "running the kernel");
  }

  Result<double> time(const std::function<void()>& launch) override {
    for (CUevent& event : events_) {
      if (event != nullptr) continue;
      PACKPROOF_CHECK_OK(driver_.check(driver_.event_create(&event, 0), "making an event"));
    }
    PACKPROOF_CHECK_OK(driver_.check(driver_.event_record(events_[0], stream_), "timing"));
    launch();
    PACKPROOF_CHECK_OK(driver_.check(driver_.event_record(events_[1], stream_), "timing"));
    PACKPROOF_CHECK_OK(synchronize());
    float milliseconds = 0.0F;
    PACKPROOF_CHECK_OK(
        driver_.check(driver_.event_elapsed(&milliseconds, events_[0], events_[1]), "timing"));
    return static_cast<double>(milliseconds) * 1e-3;
  }

  Result<std::unique_ptr<GuardedBuffer>> allocate(const BufferRequest& request) override {
    if (request.bytes > SIZE_MAX / 2) {
      return infrastructure_error("CUDA: '" + request.name + "' asks for " +
                                  std::to_string(request.bytes) + " bytes");
    }
    const std::size_t padded =
        (request.bytes + kBaseAlignment - 1) / kBaseAlignment * kBaseAlignment;
    const std::size_t total = padded + 2 * kZoneBytes;
    const std::size_t latest = padded - request.bytes;
    const std::size_t begin =
        kZoneBytes + (request.side == GuardSide::kFront ? 0 : latest - latest % request.alignment);
    CUdeviceptr base = 0;
    PACKPROOF_CHECK_OK(
        driver_.check(driver_.allocate(&base, total),
                      "allocating '" + request.name + "' (" + std::to_string(total) + " bytes)"));
    auto buffer = std::make_unique<CudaBuffer>(driver_, request, base, total, begin);
    PACKPROOF_CHECK_OK(
        driver_.check(driver_.set(base, std::to_integer<unsigned char>(request.canary), total),
                      "filling the guards of '" + request.name + "'"));
    // The fill runs on the default stream, the kernel on its own.
    PACKPROOF_CHECK_OK(driver_.check(driver_.context_synchronize(), "waiting for the device"));
    return std::unique_ptr<GuardedBuffer>(std::move(buffer));
  }

  Result<std::unique_ptr<GuardedBuffer>> allocate_on_host(const BufferRequest& request) override {
    return host_.allocate(request);
  }

 private:
  Driver driver_;
  HostDevice host_;
  std::string name_;
  int32_t sm_;
  CUstream stream_;
  CUevent events_[2] = {};
};

}  // namespace

Result<std::unique_ptr<Device>> make_cuda_device() {
  PACKPROOF_TRY(const Driver driver, load_driver());
  PACKPROOF_CHECK_OK(driver.check(driver.init(0), "starting the driver"));
  int count = 0;
  PACKPROOF_CHECK_OK(driver.check(driver.device_count(&count), "counting devices"));
  if (count == 0) return infrastructure_error("CUDA: expected a device, found none");
  CUdevice device = 0;
  PACKPROOF_CHECK_OK(driver.check(driver.device_get(&device, 0), "opening device 0"));
  char name[128] = "";
  PACKPROOF_CHECK_OK(
      driver.check(driver.device_name(name, sizeof name, device), "naming device 0"));
  int major = 0;
  int minor = 0;
  PACKPROOF_CHECK_OK(driver.check(driver.device_attribute(&major, kComputeCapabilityMajor, device),
                                  "asking for the compute capability"));
  PACKPROOF_CHECK_OK(driver.check(driver.device_attribute(&minor, kComputeCapabilityMinor, device),
                                  "asking for the compute capability"));
  CUcontext context = nullptr;
  PACKPROOF_CHECK_OK(driver.check(driver.primary_context(&context, device), "making a context"));
  PACKPROOF_CHECK_OK(driver.check(driver.set_context(context), "choosing the context"));
  CUstream stream = nullptr;
  PACKPROOF_CHECK_OK(driver.check(driver.stream_create(&stream, 0), "making a stream"));
  const int32_t sm = major * 10 + minor;
  return std::unique_ptr<Device>(std::make_unique<CudaDevice>(
      driver, std::string(name) + " (sm_" + std::to_string(sm) + ")", sm, stream));
}

}  // namespace packproof
