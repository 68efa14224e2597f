#include "harness/candidate/frame.h"

#include <cstring>
#include <random>
#include <thread>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

namespace packproof {
namespace {

std::vector<std::byte> bytes_of(std::size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

/// The bytes of a frame as they travel.
std::vector<std::byte> wire_of(const std::string& header, std::span<const std::byte> payload) {
  std::vector<std::byte> wire(kFramePrologueBytes);
  const uint64_t lengths[2] = {header.size(), payload.size()};
  std::memcpy(wire.data(), "PKPROOF1", 8);
  std::memcpy(wire.data() + 8, lengths, sizeof lengths);
  for (const char c : header) wire.push_back(static_cast<std::byte>(c));
  wire.insert(wire.end(), payload.begin(), payload.end());
  return wire;
}

/// Feeds bytes in pieces of at most `piece`; an error ends it.
Result<Frame> parse(std::span<const std::byte> wire, std::size_t piece) {
  FrameReader reader;
  while (!reader.done() && !wire.empty()) {
    const std::span<std::byte> target = reader.wanted();
    const std::size_t count = std::min({target.size(), wire.size(), piece});
    std::memcpy(target.data(), wire.data(), count);
    PACKPROOF_CHECK_OK(reader.advance(count));
    wire = wire.subspan(count);
  }
  if (!reader.done()) return invalid_input("ended " + reader.progress_text());
  return reader.take();
}

class Pipe {
 public:
  Pipe() { EXPECT_EQ(::pipe2(fds_, O_CLOEXEC), 0); }

  ~Pipe() {
    close_read();
    close_write();
  }

  int read_end() const { return fds_[0]; }

  int write_end() const { return fds_[1]; }

  void close_read() { close_one(fds_[0]); }

  void close_write() { close_one(fds_[1]); }

 private:
  static void close_one(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }

  int fds_[2] = {-1, -1};
};

TEST(Frame, ArrivesAsSentThroughAPipe) {
  const std::vector<std::byte> payload = bytes_of(3'000'000, 1);
  OutgoingFrame outgoing{"{\"type\": \"hello\"}", {}};
  // Many parts, some of them empty, so that one writev does not hold them all.
  for (std::size_t at = 0; at < payload.size(); at += 20'000) {
    outgoing.payload.push_back(std::span(payload).subspan(at, 20'000));
    outgoing.payload.emplace_back();
  }
  Pipe pipe;
  std::thread writer([&] { EXPECT_TRUE(write_frame(pipe.write_end(), outgoing).ok()); });
  const Result<std::optional<Frame>> frame = read_frame(pipe.read_end());
  writer.join();
  ASSERT_TRUE(frame.ok());
  ASSERT_TRUE(frame->has_value());
  EXPECT_EQ((*frame)->header, outgoing.header);
  EXPECT_EQ((*frame)->payload, payload);
}

TEST(Frame, ArrivesByteByByteAndLeavesTheNextOneAlone) {
  const std::vector<std::byte> payload = bytes_of(300, 2);
  const std::vector<std::byte> wire = wire_of("{}", payload);
  const Result<Frame> frame = parse(wire, 1);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(frame->payload, payload);

  Pipe pipe;
  const OutgoingFrame first{"1", {}};
  const OutgoingFrame second{"", {std::span(payload)}};
  ASSERT_TRUE(write_frame(pipe.write_end(), first).ok());
  ASSERT_TRUE(write_frame(pipe.write_end(), second).ok());
  EXPECT_EQ((*read_frame(pipe.read_end()))->header, "1");
  EXPECT_EQ((*read_frame(pipe.read_end()))->payload, payload);
}

TEST(Frame, EndOfInputBetweenFramesIsNoError) {
  Pipe pipe;
  pipe.close_write();
  const Result<std::optional<Frame>> frame = read_frame(pipe.read_end());
  ASSERT_TRUE(frame.ok());
  EXPECT_FALSE(frame->has_value());
}

TEST(Frame, EndOfInputInsideAFrameSaysWhere) {
  const std::vector<std::byte> wire = wire_of("{\"a\": 1}", bytes_of(10, 3));
  const auto message_at = [&](std::size_t length) {
    Pipe pipe;
    EXPECT_EQ(::write(pipe.write_end(), wire.data(), length), static_cast<ssize_t>(length));
    pipe.close_write();
    const Result<std::optional<Frame>> frame = read_frame(pipe.read_end());
    EXPECT_FALSE(frame.ok());
    return frame.ok() ? std::string() : frame.error().message;
  };
  EXPECT_EQ(message_at(5), "frame: input ended in the first 24 bytes, after 5 of 24 bytes");
  EXPECT_EQ(message_at(26), "frame: input ended in the header, after 2 of 8 bytes");
  EXPECT_EQ(message_at(41), "frame: input ended in the payload, after 9 of 10 bytes");
}

TEST(Frame, RefusesForeignBytesAtTheFirstWrongOne) {
  FrameReader reader;
  std::memcpy(reader.wanted().data(), "PKX", 3);
  const Status status = reader.advance(3);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().message, "frame: expected it to begin with 'PKPROOF1', found 'PKX'");
}

TEST(Frame, RefusesLengthsBeyondTheLimits) {
  for (const bool header : {true, false}) {
    std::vector<std::byte> wire = wire_of("", {});
    const uint64_t length = header ? kMaxHeaderBytes + 1 : kMaxPayloadBytes + 1;
    std::memcpy(wire.data() + (header ? 8 : 16), &length, sizeof length);
    const Result<Frame> frame = parse(wire, 100);
    ASSERT_FALSE(frame.ok());
    EXPECT_EQ(frame.error().message, "frame: expected a " +
                                         std::string(header ? "header" : "payload") +
                                         " of at most " + std::to_string(length - 1) +
                                         " bytes, found a length of " + std::to_string(length));
  }
}

TEST(Frame, RandomDamageIsHarmlessOrToldInASentence) {
  std::mt19937 random(5);
  const std::vector<std::byte> intact = wire_of("{\"type\": \"hello\"}", bytes_of(100, 6));
  int refused = 0;
  for (int i = 0; i < 5000; ++i) {
    std::vector<std::byte> wire = intact;
    // Half of the damage hits the prologue, where lengths are.
    const std::size_t reach = random() % 2 == 0 ? kFramePrologueBytes : wire.size();
    for (uint32_t hits = 1 + random() % 3; hits > 0; --hits) {
      wire[random() % reach] = static_cast<std::byte>(random());
    }
    if (random() % 4 == 0) wire.resize(random() % wire.size());
    const Result<Frame> frame = parse(wire, 1 + random() % 200);
    if (frame.ok()) continue;
    ++refused;
    EXPECT_TRUE(frame.error().message.starts_with("frame: expected") ||
                frame.error().message.starts_with("ended"))
        << frame.error().message;
  }
  EXPECT_GT(refused, 2000);
}

TEST(Frame, AClaimedLengthTakesNoMemory) {
  std::vector<std::byte> wire = wire_of("", {});
  std::memcpy(wire.data() + 16, &kMaxPayloadBytes, sizeof kMaxPayloadBytes);
  FrameReader reader;
  std::memcpy(reader.wanted().data(), wire.data(), wire.size());
  ASSERT_TRUE(reader.advance(wire.size()).ok());
  EXPECT_LE(reader.wanted().size(), std::size_t{1} << 20);
}

TEST(Frame, WriterStopsWhereAFullPipeBlocks) {
  Pipe pipe;
  ASSERT_EQ(::fcntl(pipe.write_end(), F_SETFL, O_NONBLOCK), 0);
  const std::vector<std::byte> payload = bytes_of(1 << 20, 4);
  const OutgoingFrame outgoing{"{}", {std::span(payload)}};
  FrameWriter writer(outgoing);
  FrameReader reader;
  ASSERT_EQ(::fcntl(pipe.read_end(), F_SETFL, O_NONBLOCK), 0);
  int turns = 0;
  while (!reader.done()) {
    ++turns;
    ASSERT_TRUE(writer.write_some(pipe.write_end()).ok());
    ASSERT_TRUE(reader.read_some(pipe.read_end()).ok());
  }
  EXPECT_GT(turns, 2);
  EXPECT_EQ(reader.take().payload, payload);
}

}  // namespace
}  // namespace packproof
