#pragma once

#include "harness/core/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace packproof {

inline constexpr std::size_t kFramePrologueBytes = 24;
inline constexpr uint64_t kMaxHeaderBytes = 100'000'000;
inline constexpr uint64_t kMaxPayloadBytes = uint64_t{8} << 30;

/// One message of the process protocol (harness/candidate/PROTOCOL.md), received.
struct Frame {
  std::string header;  ///< JSON text, not parsed yet.
  std::vector<std::byte> payload;
};

/// One message about to be sent. The payload parts are borrowed until it is sent.
struct OutgoingFrame {
  std::string header;
  std::vector<std::span<const std::byte>> payload;

  uint64_t payload_bytes() const;
};

enum class IoState : uint8_t {
  kDone,     ///< The whole frame went through.
  kBlocked,  ///< A non-blocking descriptor takes or gives no more right now.
  kClosed,   ///< The other side closed: end of input, or EPIPE.
};

/// Sends one frame over a descriptor, in as many pieces as the descriptor takes.
class FrameWriter {
 public:
  explicit FrameWriter(const OutgoingFrame& frame);
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;

  /// Writes until done, blocked or closed. An error is what the system call reports.
  Result<IoState> write_some(int fd);

  bool done() const { return next_part_ == parts_.size(); }

 private:
  std::array<std::byte, kFramePrologueBytes> prologue_{};
  std::vector<std::span<const std::byte>> parts_;
  std::size_t next_part_ = 0;
};

/// Receives one frame. Never reads beyond it, and takes memory only as bytes arrive, so a prologue
/// that claims 8 GiB costs nothing.
class FrameReader {
 public:
  /// The bytes wanted next (never empty before the frame is done); fill a front part of them and
  /// report how many with `advance`.
  std::span<std::byte> wanted();

  /// kInvalidInput when the prologue is none, or its lengths exceed the limits.
  Status advance(std::size_t count);

  /// Reads until done, blocked or closed. An error is malformed input or a failed system call.
  Result<IoState> read_some(int fd);

  bool started() const { return received_ > 0; }

  bool done() const { return stage_ == Stage::kDone; }

  /// Where input ended, for "the stream ended in the header, 10 of 200 bytes".
  std::string progress_text() const;

  /// The received frame; the reader starts afresh.
  Frame take();

 private:
  enum class Stage : uint8_t { kPrologue, kHeader, kPayload, kDone };

  Status check_prologue();
  void enter(Stage stage);

  Stage stage_ = Stage::kPrologue;
  std::array<std::byte, kFramePrologueBytes> prologue_{};
  uint64_t header_bytes_ = 0;
  uint64_t payload_bytes_ = 0;
  uint64_t received_ = 0;        ///< Of the whole frame.
  uint64_t stage_received_ = 0;  ///< Of the current stage.
  Frame frame_;
};

/// Sends on a blocking descriptor. kInfrastructure when the other side has closed.
Status write_frame(int fd, const OutgoingFrame& frame);

/// Receives on a blocking descriptor; empty at the end of input before the first byte.
Result<std::optional<Frame>> read_frame(int fd);

}  // namespace packproof
