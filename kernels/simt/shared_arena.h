#pragma once

#include "kernels/simt/sanitizer.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

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

  /// Fills `bytes` with 0xff, NaN in every floating-point format, and sets up the guards. False
  /// when the system gives no memory.
  bool begin_block(std::size_t bytes);

  /// Lifts the guards.
  void end_block();

  std::byte* data() { return data_; }

  /// Whether the guards are untouched. With AddressSanitizer always true: it reports the access.
  bool guards_hold() const;

  /// The same for the guards' words next to the data: cheap enough for every switch of threads, so
  /// that the usual overrun, by one element, is found in the thread that did it.
  bool nearest_guards_hold() const {
    if (kAddressSanitizer || bytes_ == 0) return true;
    uint64_t words[2];
    std::memcpy(&words[0], data_ - sizeof(uint64_t), sizeof(uint64_t));
    std::memcpy(&words[1], data_ + bytes_, sizeof(uint64_t));
    return words[0] == kGuardWord && words[1] == kGuardWord;
  }

 private:
  static constexpr uint64_t kGuardWord = 0x5ca1ab1e5ca1ab1e;

  static void fill_guard(std::byte* guard);
  static bool guard_holds(const std::byte* guard);

  std::byte* mapping_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace packproof::simt
