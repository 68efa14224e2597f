#pragma once

#include "harness/worker/device.h"

#include <memory>
#include <string>

namespace packproof {

class MappingPool;

/// Host memory whose buffers lie between inaccessible pages: an access past a guarded end is
/// SIGSEGV at the faulting instruction, reads included (see guard_fault.h). Slack at the other end
/// holds the canary, so a write there is found after the call and a read shows in a second run with
/// another canary. Small mappings are used again by later buffers: mapping them costs more than a
/// small kernel.
class HostDevice : public Device {
 public:
  HostDevice();
  HostDevice(const HostDevice&) = delete;
  HostDevice& operator=(const HostDevice&) = delete;
  ~HostDevice() override;

  std::string name() const override { return "host"; }

  int32_t sm() const override { return 0; }

  void* stream() const override { return nullptr; }

  Status synchronize() override { return {}; }

  Result<double> time(const std::function<void()>& launch) override;

  Result<std::unique_ptr<Recording>> record(std::function<void()> launch) override;

  Status copy(const GuardedBuffer& from, GuardedBuffer& to, std::size_t bytes) override;

  Result<std::unique_ptr<GuardedBuffer>> allocate(const BufferRequest& request) override;

  Result<std::unique_ptr<GuardedBuffer>> allocate_on_host(const BufferRequest& request) override {
    return allocate(request);
  }

 private:
  std::unique_ptr<MappingPool> pool_;
};

}  // namespace packproof
