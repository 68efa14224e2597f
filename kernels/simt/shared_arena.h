#pragma once

#include "kernels/simt/sanitizer.h"

#include <cstddef>
#include <cstdint>

namespace packproof::simt {

/// Memory of one block's shared struct with guards at both ends; one per host thread, used by its
/// blocks in turn.
class SharedArena {
 public:
  /// The most that any supported device offers a block (227 KB, sm_90).
  static constexpr std::size_t kMaxBytes = 227 * 1024;

  SharedArena() = default;
  ~SharedArena();
  SharedArena(const SharedArena&) = delete;
  SharedArena& operator=(const SharedArena&) = delete;

  /// Fills `bytes` with 0xff, NaN in every floating-point format, and sets up the guards. False when
  /// the system gives no memory.
  bool begin_block(std::size_t bytes);

  /// Lifts the guards.
  void end_block();

  std::byte* data() { return data_; }

  /// Whether the guards are untouched. Checked at every switch of threads, so that the thread that
  /// wrote there can be named. With AddressSanitizer always true: it reports the access itself.
  bool guards_hold() const {
    return kAddressSanitizer || bytes_ == 0 ||
           (guard_holds(data_ - kGuardBytes) && guard_holds(data_ + bytes_));
  }

 private:
  static constexpr std::size_t kGuardBytes = 64;
  static constexpr uint64_t kGuardWord = 0x5ca1ab1e5ca1ab1e;

  static void fill_guard(std::byte* guard);

  static bool guard_holds(const std::byte* guard) {
    uint64_t difference = 0;
    for (std::size_t at = 0; at < kGuardBytes; at += sizeof(uint64_t)) {
      uint64_t word = 0;
      __builtin_memcpy(&word, guard + at, sizeof(word));
      difference |= word ^ kGuardWord;
    }
    return difference == 0;
  }

  std::byte* mapping_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace packproof::simt
