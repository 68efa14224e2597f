#include "harness/worker/host_device.h"

#include "harness/worker/guard_fault.h"

#include <csignal>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

namespace packproof {
namespace {

std::unique_ptr<GuardedBuffer> buffer_of(std::size_t bytes, GuardSide side,
                                         std::byte canary = std::byte{0xFF}) {
  static HostDevice device;
  Result<std::unique_ptr<GuardedBuffer>> buffer =
      device.allocate({"output", bytes, 4, side, canary});
  EXPECT_TRUE(buffer.ok());
  return std::move(*buffer);
}

volatile float* floats_of(const GuardedBuffer& buffer) {
  return static_cast<volatile float*>(buffer.address());
}

TEST(HostDevice, KeepsContentAndAlignment) {
  for (const GuardSide side : {GuardSide::kFront, GuardSide::kBack}) {
    for (const std::size_t count : {1, 3, 1023, 1024, 1025, 100'000}) {
      const std::unique_ptr<GuardedBuffer> buffer = buffer_of(4 * count, side);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->address()) % 4, 0U);
      std::vector<std::byte> content(4 * count);
      for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i * 3);
      ASSERT_TRUE(buffer->write(content).ok());
      std::vector<std::byte> back(content.size());
      ASSERT_TRUE(buffer->read(back).ok());
      EXPECT_EQ(back, content);
      const Result<GuardDamage> damage = buffer->damage();
      EXPECT_FALSE(damage->before);
      EXPECT_FALSE(damage->after);
    }
  }
}

TEST(HostDevice, AnEmptyBufferHasAnAddress) {
  for (const GuardSide side : {GuardSide::kFront, GuardSide::kBack}) {
    const std::unique_ptr<GuardedBuffer> buffer = buffer_of(0, side);
    EXPECT_NE(buffer->address(), nullptr);
    EXPECT_TRUE(buffer->write({}).ok());
    EXPECT_FALSE(buffer->damage()->before);
  }
}

TEST(HostDevice, OneElementIntoTheSlackIsFound) {
  const std::unique_ptr<GuardedBuffer> back = buffer_of(12, GuardSide::kBack);
  floats_of(*back)[-1] = 1.0f;
  EXPECT_TRUE(back->damage()->before);
  EXPECT_FALSE(back->damage()->after);

  const std::unique_ptr<GuardedBuffer> front = buffer_of(12, GuardSide::kFront);
  floats_of(*front)[3] = 1.0f;
  EXPECT_FALSE(front->damage()->before);
  EXPECT_TRUE(front->damage()->after);
}

TEST(HostDevice, AMappingUsedAgainHasFreshCanaries) {
  HostDevice device;
  for (int round = 0; round < 100; ++round) {
    const GuardSide side = round % 2 == 0 ? GuardSide::kFront : GuardSide::kBack;
    const Result<std::unique_ptr<GuardedBuffer>> buffer =
        device.allocate({"x", 8, 4, side, static_cast<std::byte>(round)});
    ASSERT_TRUE(buffer.ok());
    ASSERT_TRUE((*buffer)->fill(std::byte{0xEE}).ok());
    const Result<GuardDamage> damage = (*buffer)->damage();
    EXPECT_FALSE(damage->before || damage->after) << round;
    floats_of(**buffer)[side == GuardSide::kFront ? 2 : -1] = 1.0f;
  }
}

TEST(HostDevice, TheSlackReadsAsTheCanary) {
  for (const int canary : {0xFF, 0x00, 0xA5}) {
    const std::unique_ptr<GuardedBuffer> buffer =
        buffer_of(12, GuardSide::kFront, static_cast<std::byte>(canary));
    EXPECT_EQ(static_cast<const unsigned char*>(buffer->address())[12], canary);
  }
}

TEST(HostDevice, MoreMemoryThanThereIsIsAnError) {
  HostDevice device;
  for (const std::size_t bytes : {SIZE_MAX, SIZE_MAX / 4}) {
    const Result<std::unique_ptr<GuardedBuffer>> buffer =
        device.allocate({"workspace", bytes, 256, GuardSide::kBack, std::byte{0}});
    ASSERT_FALSE(buffer.ok());
    EXPECT_EQ(buffer.error().code, Code::kInfrastructure);
    EXPECT_NE(buffer.error().message.find("'workspace'"), std::string::npos);
  }
}

using HostDeviceDeathTest = ::testing::Test;

TEST(HostDeviceDeathTest, AnAccessPastAGuardedEndNamesTheBuffer) {
  const std::unique_ptr<GuardedBuffer> back = buffer_of(12, GuardSide::kBack);
  const std::unique_ptr<GuardedBuffer> front = buffer_of(12, GuardSide::kFront);
  const auto dies = ::testing::KilledBySignal(SIGSEGV);
  install_fault_report();
  set_fault_context("rope fwd 'naive'");
  EXPECT_EXIT(floats_of(*back)[3] = 1.0f, dies,
              "rope fwd 'naive' wrote past the end of 'output' .end . 0 bytes.");
  EXPECT_EXIT(static_cast<void>(floats_of(*back)[10]), dies,
              "rope fwd 'naive' read past the end of 'output' .end . 28 bytes.");
  EXPECT_EXIT(floats_of(*front)[-1] = 1.0f, dies,
              "rope fwd 'naive' wrote before the start of 'output' .start - 4 bytes.");
  EXPECT_EXIT(static_cast<void>(floats_of(*front)[-2]), dies,
              "rope fwd 'naive' read before the start of 'output' .start - 8 bytes.");
  const volatile uintptr_t nowhere = 16;
  EXPECT_EXIT(*reinterpret_cast<float*>(nowhere) = 1.0f, dies,
              "wrote at address 0x10, outside every buffer of the call");
}

TEST(HostDeviceDeathTest, AnyAccessToAnEmptyBufferFaults) {
  const std::unique_ptr<GuardedBuffer> buffer = buffer_of(0, GuardSide::kBack);
  install_fault_report();
  EXPECT_EXIT(static_cast<void>(floats_of(*buffer)[0]), ::testing::KilledBySignal(SIGSEGV),
              "read past the end of 'output'");
}

}  // namespace
}  // namespace packproof
