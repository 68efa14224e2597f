#pragma once

#include "harness/worker/device.h"

#include <memory>
#include <string>

namespace packproof {

/// Host memory whose buffers lie between inaccessible pages: an access past a guarded end is
/// SIGSEGV at the faulting instruction, reads included (see guard_fault.h). Slack at the other end
/// holds the canary, so a write there is found after the call and a read shows in a second run with
/// another canary.
class HostDevice : public Device {
 public:
  std::string name() const override { return "host"; }

  int32_t sm() const override { return 0; }

  void* stream() const override { return nullptr; }

  Status synchronize() override { return {}; }

  Result<std::unique_ptr<GuardedBuffer>> allocate(const BufferRequest& request) override;
};

}  // namespace packproof
