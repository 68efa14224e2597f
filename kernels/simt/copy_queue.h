#pragma once

#include <cstdint>

namespace packproof::simt {

/// A copy that runs beside its thread.
struct AsyncCopy {
  void* destination;
  const void* source;
  int bytes;         ///< Of the destination, at most 16.
  int source_bytes;  ///< Copied; the rest becomes zeros.
  void* caller;      ///< An instruction of the kernel, for reports of races.
};

/// One thread's asynchronous copies, in order (kernels/ptx/copy_async_on_host.h says what they mean).
class CopyQueue {
 public:
  /// Forgets what an earlier thread left. `at_once`: copies happen when they start.
  void reset(bool at_once);

  void start(const AsyncCopy& copy);

  void commit() { ++group_; }

  void wait(int pending);

  /// ThreadSanitizer's thread that performs the copies, and objects that order it; null elsewhere.
  struct Agent {
    void* race_detector_thread = nullptr;
    uint64_t start_object = 0;
    uint64_t group_objects[8] = {};
  };

  Agent agent;

 private:
  struct Pending {
    AsyncCopy copy;
    uint64_t group;
  };

  void complete_oldest();

  // A thread with more copies under way has the oldest completed early, which PTX allows.
  static constexpr uint32_t kCapacity = 256;

  Pending pending_[kCapacity];
  uint32_t first_ = 0;
  uint32_t count_ = 0;
  uint64_t group_ = 0;   // Of the copies that start now.
  uint64_t waited_ = 0;  // Groups before this one are complete.
  bool at_once_ = false;
};

/// The running thread's.
CopyQueue& running_copies();

}  // namespace packproof::simt
