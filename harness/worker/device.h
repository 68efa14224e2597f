#pragma once

#include "harness/core/result.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace packproof {

/// Which end of a buffer touches the guard without slack. The other end has slack, filled with the
/// canary, up to the next page or alignment boundary.
enum class GuardSide : uint8_t { kFront, kBack };

struct BufferRequest {
  std::string name;  ///< For sentences: the tensor's name.
  std::size_t bytes = 0;
  std::size_t alignment = 1;  ///< The element size: all that the C boundary promises.
  GuardSide side = GuardSide::kBack;
  std::byte canary{0xFF};
};

struct GuardDamage {
  bool before = false;
  bool after = false;
};

/// Memory of a device between two guards. Its content is undefined until written or filled.
class GuardedBuffer {
 public:
  virtual ~GuardedBuffer() = default;

  /// Where kernels find it; never null, also for 0 bytes.
  virtual void* address() const = 0;
  virtual Status write(std::span<const std::byte> content) = 0;  ///< All bytes.
  virtual Status fill(std::byte value) = 0;
  virtual Status read(std::span<std::byte> content) const = 0;  ///< All bytes.

  /// Whether canary bytes changed since the allocation.
  virtual Result<GuardDamage> damage() const = 0;
};

/// What a launch put on the stream, to be put there again.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual Status enqueue() = 0;
};

/// Where kernels run: host memory or a CUDA device. Errors are kInfrastructure. Buffers must not
/// outlive their device.
class Device {
 public:
  virtual ~Device() = default;

  virtual std::string name() const = 0;
  virtual int32_t sm() const = 0;    ///< 90 for sm_90; 0 on the host.
  virtual void* stream() const = 0;  ///< Null on the host.
  virtual Status synchronize() = 0;  ///< Waits for the stream; reports what failed on it.

  /// Runs `launch`, waits, and gives its seconds by the device's own clock.
  virtual Result<double> time(const std::function<void()>& launch) = 0;

  /// Records what `launch` enqueues without running it: a CUDA graph; on the host the launch itself.
  virtual Result<std::unique_ptr<Recording>> record(std::function<void()> launch) = 0;

  /// Enqueues the copy of a buffer into one of the same size.
  virtual Status copy(const GuardedBuffer& from, GuardedBuffer& to, std::size_t bytes) = 0;
  virtual Result<std::unique_ptr<GuardedBuffer>> allocate(const BufferRequest& request) = 0;

  /// The same in host memory, for the host copies of metadata.
  virtual Result<std::unique_ptr<GuardedBuffer>> allocate_on_host(const BufferRequest& request) = 0;
};

}  // namespace packproof
