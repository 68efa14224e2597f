#pragma once

#include "harness/candidate/candidate.h"
#include "harness/core/op_call.h"
#include "harness/core/result.h"
#include "harness/worker/device.h"
#include "packproof/kernel_abi.h"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace packproof {

/// The tensors of one call on a device, each between guards: inputs copied, outputs filled with the
/// poison byte, in-out tensors one buffer for both, metadata in host memory too. After the call it
/// says what was written where nothing may be.
///
/// The poison byte is also the canary, and its lowest bit (with the schedule seed's) chooses which
/// end of a buffer touches the guard, so a run with another colour sees both ends.
class CallBuffers {
 public:
  /// kInvalidInput when the C boundary can't express the call (rank above 5, seq_idx that is not
  /// contiguous int32, an in-out tensor whose two layouts differ); kInfrastructure for memory. The
  /// call must outlive the buffers.
  static Result<CallBuffers> make(Device& device, const OpCall& call, const CallOptions& options);

  /// Absent tensors have data = null and rank 0.
  packproof_tensor tensor(std::string_view name) const;

  /// Packing of a call whose token tensors are [B, T, ...]; `token` names one of them. N comes from
  /// cu_seqlens, else from seq_idx (largest id + 1), else it is B.
  packproof_packing packing(std::string_view token) const;

  /// Contents of an integer tensor in host memory, or null.
  const void* host_copy(std::string_view name) const;

  /// Guarded, poisoned scratch memory, checked like the tensors.
  Result<void*> workspace(std::size_t bytes);

  /// Reads the outputs back and fills `result.outputs` and `result.memory`. When the call was
  /// refused no outputs are returned, and any output byte that changed is reported.
  Status collect(bool refused, CallResult& result) const;

 private:
  struct Entry {
    std::unique_ptr<GuardedBuffer> buffer;
    DType dtype = DType::kF32;
    std::vector<int64_t> shape;
    std::vector<int64_t> strides;
    const Tensor* before = nullptr;  ///< The input; null for a pure output.
    bool output = false;
  };

  CallBuffers(Device& device, const OpCall& call, const CallOptions& options)
      : device_(&device), call_(&call), options_(options) {}

  Status add_input(const std::string& name, const Tensor& tensor);
  Status add_output(const std::string& name, const OutputSpec& spec);
  Status add_host_copy(const std::string& name, const Tensor& tensor);
  BufferRequest request(const std::string& name, std::size_t bytes, std::size_t alignment) const;
  Status check_input(const std::string& name, const Entry& entry, MemoryReport& memory) const;
  Status check_output(const std::string& name, const Entry& entry, bool refused,
                      CallResult& result) const;

  Device* device_;
  const OpCall* call_;
  CallOptions options_;
  std::map<std::string, Entry, std::less<>> entries_;
  std::map<std::string, std::unique_ptr<GuardedBuffer>, std::less<>> host_copies_;
  std::unique_ptr<GuardedBuffer> workspace_;
};

}  // namespace packproof
