#pragma once

#include <cstddef>

namespace packproof::simt {

/// The running block's shared memory. Ends the launch when `bytes` exceeds what was asked for.
std::byte* shared_arena(std::size_t bytes);

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

 private:
  std::byte* mapping_ = nullptr;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace packproof::simt
