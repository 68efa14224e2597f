#include "harness/worker/cuda_device.h"

#include "harness/worker/cuda_driver.h"
#include "harness/worker/host_device.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace packproof {

namespace {

using cuda::CUcontext;
using cuda::CUdevice;
using cuda::CUdeviceptr;
using cuda::CUevent;
using cuda::CUgraph;
using cuda::CUgraphExec;
using cuda::CUresult;
using cuda::CUstream;
using cuda::Driver;

constexpr int kCaptureThisThread = 1;        // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
constexpr int kComputeCapabilityMajor = 75;  // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
constexpr int kComputeCapabilityMinor = 76;
constexpr std::size_t kZoneBytes = 4096;
constexpr std::size_t kBaseAlignment = 256;  // What cuMemAlloc promises.

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

class CudaGraph : public Recording {
 public:
  CudaGraph(const Driver& driver, CUstream stream, CUgraphExec instance)
      : driver_(driver), stream_(stream), instance_(instance) {}

  CudaGraph(const CudaGraph&) = delete;
  CudaGraph& operator=(const CudaGraph&) = delete;

  ~CudaGraph() override { driver_.destroy_instance(instance_); }

  Status enqueue() override {
    return driver_.check(driver_.launch_graph(instance_, stream_), "launching a graph");
  }

 private:
  const Driver& driver_;
  CUstream stream_;
  CUgraphExec instance_;
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

  Result<std::unique_ptr<Recording>> record(std::function<void()> launch) override {
    PACKPROOF_CHECK_OK(
        driver_.check(driver_.begin_capture(stream_, kCaptureThisThread), "recording a graph"));
    launch();
    CUgraph graph = nullptr;
    PACKPROOF_CHECK_OK(
        driver_.check(driver_.end_capture(stream_, &graph), "recording a graph of the launch"));
    CUgraphExec instance = nullptr;
    const CUresult made = driver_.instantiate(&instance, graph, 0);
    driver_.destroy_graph(graph);
    PACKPROOF_CHECK_OK(driver_.check(made, "instantiating a graph"));
    return std::unique_ptr<Recording>(std::make_unique<CudaGraph>(driver_, stream_, instance));
  }

  Status copy(const GuardedBuffer& from, GuardedBuffer& to, std::size_t bytes) override {
    return driver_.check(
        driver_.copy_on_stream(reinterpret_cast<CUdeviceptr>(to.address()),
                               reinterpret_cast<CUdeviceptr>(from.address()), bytes, stream_),
        "copying on the device");
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
  PACKPROOF_TRY(const Driver driver, cuda::load_driver());
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
