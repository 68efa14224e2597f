#include "harness/candidate/frame.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>

#include <sys/uio.h>
#include <unistd.h>

namespace packproof {

namespace {

constexpr std::string_view kMagic = "PKPROOF1";
constexpr std::size_t kMaxPartsPerWrite = 64;
constexpr uint64_t kFirstBlock = 1 << 20;

void store_u64(uint64_t value, std::byte* target) {
  for (int i = 0; i < 8; ++i) target[i] = static_cast<std::byte>(value >> (8 * i));
}

uint64_t load_u64(const std::byte* source) {
  uint64_t value = 0;
  for (int i = 0; i < 8; ++i) value |= std::to_integer<uint64_t>(source[i]) << (8 * i);
  return value;
}

/// Printable form of the bytes that should have been the magic.
std::string quoted(std::span<const std::byte> bytes) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    const auto c = std::to_integer<unsigned char>(byte);
    if (c >= 0x20 && c < 0x7f) {
      text.push_back(static_cast<char>(c));
    } else {
      text += "\\x";
      text.push_back(kHex[c >> 4]);
      text.push_back(kHex[c & 15]);
    }
  }
  return "'" + text + "'";
}

Error system_error(std::string_view what) {
  return infrastructure_error(std::string(what) + " failed: " + std::strerror(errno));
}

}  // namespace

uint64_t OutgoingFrame::payload_bytes() const {
  uint64_t total = 0;
  for (const auto& part : payload) total += part.size();
  return total;
}

FrameWriter::FrameWriter(const OutgoingFrame& frame) {
  std::memcpy(prologue_.data(), kMagic.data(), kMagic.size());
  store_u64(frame.header.size(), prologue_.data() + 8);
  store_u64(frame.payload_bytes(), prologue_.data() + 16);
  parts_.reserve(frame.payload.size() + 2);
  parts_.emplace_back(prologue_);
  parts_.push_back(std::as_bytes(std::span(frame.header)));
  for (const auto& part : frame.payload) {
    if (!part.empty()) parts_.push_back(part);
  }
}

Result<IoState> FrameWriter::write_some(int fd) {
  while (!done()) {
    std::array<iovec, kMaxPartsPerWrite> vectors{};
    const std::size_t count = std::min(parts_.size() - next_part_, kMaxPartsPerWrite);
    for (std::size_t i = 0; i < count; ++i) {
      const auto part = parts_[next_part_ + i];
      vectors[i] = {const_cast<std::byte*>(part.data()), part.size()};
    }
    const ssize_t written = ::writev(fd, vectors.data(), static_cast<int>(count));
    if (written < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return IoState::kBlocked;
      if (errno == EPIPE) return IoState::kClosed;
      return system_error("writing a frame");
    }
    auto left = static_cast<std::size_t>(written);
    while (!done() && left >= parts_[next_part_].size()) left -= parts_[next_part_++].size();
    if (!done()) parts_[next_part_] = parts_[next_part_].subspan(left);
  }
  return IoState::kDone;
}

void FrameReader::enter(Stage stage) {
  stage_ = stage;
  stage_received_ = 0;
  if (stage_ == Stage::kHeader && header_bytes_ == 0) stage_ = Stage::kPayload;
  if (stage_ == Stage::kPayload && payload_bytes_ == 0) stage_ = Stage::kDone;
}

std::span<std::byte> FrameReader::wanted() {
  // Memory doubles as bytes arrive instead of following the claimed length.
  const auto grow = [this](auto& buffer, uint64_t total) {
    if (stage_received_ == buffer.size()) {
      buffer.resize(std::min(total, std::max<uint64_t>(kFirstBlock, 2 * buffer.size())));
    }
    return std::as_writable_bytes(std::span(buffer)).subspan(stage_received_);
  };
  switch (stage_) {
    case Stage::kPrologue:
      return std::span(prologue_).subspan(stage_received_);
    case Stage::kHeader:
      return grow(frame_.header, header_bytes_);
    case Stage::kPayload:
      return grow(frame_.payload, payload_bytes_);
    case Stage::kDone:
      break;
  }
  return {};
}

Status FrameReader::advance(std::size_t count) {
  received_ += count;
  stage_received_ += count;
  if (stage_ == Stage::kPrologue) return check_prologue();
  if (stage_ == Stage::kHeader && stage_received_ == header_bytes_) {
    enter(Stage::kPayload);
  } else if (stage_ == Stage::kPayload && stage_received_ == payload_bytes_) {
    enter(Stage::kDone);
  }
  return {};
}

Status FrameReader::check_prologue() {
  // Checked as bytes arrive: a program that prints five characters and waits must not look like
  // one that still computes.
  const std::size_t seen = std::min<std::size_t>(stage_received_, kMagic.size());
  if (std::memcmp(prologue_.data(), kMagic.data(), seen) != 0) {
    return invalid_input("frame: expected it to begin with 'PKPROOF1', found " +
                         quoted(std::span(prologue_).first(seen)));
  }
  if (stage_received_ < kFramePrologueBytes) return {};
  header_bytes_ = load_u64(prologue_.data() + 8);
  payload_bytes_ = load_u64(prologue_.data() + 16);
  if (header_bytes_ > kMaxHeaderBytes) {
    return invalid_input("frame: expected a header of at most " + std::to_string(kMaxHeaderBytes) +
                         " bytes, found a length of " + std::to_string(header_bytes_));
  }
  if (payload_bytes_ > kMaxPayloadBytes) {
    return invalid_input("frame: expected a payload of at most " +
                         std::to_string(kMaxPayloadBytes) + " bytes, found a length of " +
                         std::to_string(payload_bytes_));
  }
  enter(Stage::kHeader);
  return {};
}

Result<IoState> FrameReader::read_some(int fd) {
  while (!done()) {
    const std::span<std::byte> target = wanted();
    const ssize_t got = ::read(fd, target.data(), target.size());
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return IoState::kBlocked;
      return system_error("reading a frame");
    }
    if (got == 0) return IoState::kClosed;
    PACKPROOF_CHECK_OK(advance(static_cast<std::size_t>(got)));
  }
  return IoState::kDone;
}

std::string FrameReader::progress_text() const {
  const auto part = [this](std::string_view name, uint64_t total) {
    return "in the " + std::string(name) + ", after " + std::to_string(stage_received_) + " of " +
           std::to_string(total) + " bytes";
  };
  switch (stage_) {
    case Stage::kPrologue:
      return part("first 24 bytes", kFramePrologueBytes);
    case Stage::kHeader:
      return part("header", header_bytes_);
    case Stage::kPayload:
      return part("payload", payload_bytes_);
    case Stage::kDone:
      break;
  }
  return "after the frame";
}

Frame FrameReader::take() {
  Frame frame = std::move(frame_);
  *this = FrameReader();
  return frame;
}

Status write_frame(int fd, const OutgoingFrame& frame) {
  FrameWriter writer(frame);
  PACKPROOF_TRY(const IoState state, writer.write_some(fd));
  if (state != IoState::kDone) {
    return infrastructure_error("the other side closed before the whole frame was written");
  }
  return {};
}

Result<std::optional<Frame>> read_frame(int fd) {
  FrameReader reader;
  PACKPROOF_TRY(const IoState state, reader.read_some(fd));
  if (state == IoState::kDone) return std::optional<Frame>(reader.take());
  if (!reader.started()) return std::optional<Frame>();
  return invalid_input("frame: input ended " + reader.progress_text());
}

}  // namespace packproof
