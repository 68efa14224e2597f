#include "harness/core/dtype.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

namespace packproof {
namespace {

double load_bits(DType dtype, uint16_t bits) {
  std::array<std::byte, 2> bytes{};
  std::memcpy(bytes.data(), &bits, sizeof(bits));
  return load_element(dtype, bytes.data());
}

uint16_t store_bits(DType dtype, double value) {
  std::array<std::byte, 2> bytes{};
  store_element(dtype, bytes.data(), value);
  uint16_t bits = 0;
  std::memcpy(&bits, bytes.data(), sizeof(bits));
  return bits;
}

struct Format {
  DType dtype;
  uint16_t infinity;
};

class SmallFloat : public testing::TestWithParam<Format> {};

TEST_P(SmallFloat, EveryBitPatternComesBack) {
  const auto [dtype, infinity] = GetParam();
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    const auto bits = static_cast<uint16_t>(pattern);
    const double value = load_bits(dtype, bits);
    if ((bits & 0x7FFF) > infinity) {
      ASSERT_TRUE(std::isnan(value)) << std::hex << pattern;
      ASSERT_GT(store_bits(dtype, value) & 0x7FFF, infinity) << std::hex << pattern;
      continue;
    }
    ASSERT_EQ(store_bits(dtype, value), bits) << std::hex << pattern;
  }
}

// Between neighbours a < b: the midpoint goes to the even pattern, and the doubles next to the
// midpoint go to the nearer one, which a detour over float would miss.
TEST_P(SmallFloat, MidpointsRoundToEvenAndTheirNeighboursDoNot) {
  const auto [dtype, infinity] = GetParam();
  for (uint16_t bits = 0; bits + 1 < infinity; ++bits) {
    const double low = load_bits(dtype, bits);
    const double high = load_bits(dtype, static_cast<uint16_t>(bits + 1));
    const double middle = low + (high - low) / 2;
    const auto even = static_cast<uint16_t>(bits + (bits & 1));
    for (const bool negative : {false, true}) {
      const uint16_t sign = negative ? 0x8000 : 0;
      const double factor = negative ? -1.0 : 1.0;
      ASSERT_EQ(store_bits(dtype, factor * middle), sign | even) << bits;
      ASSERT_EQ(store_bits(dtype, factor * std::nextafter(middle, low)), sign | bits) << bits;
      ASSERT_EQ(store_bits(dtype, factor * std::nextafter(middle, high)), sign | (bits + 1));
    }
  }
}

TEST_P(SmallFloat, OverflowsToInfinityFromHalfASpacingAboveTheLargest) {
  const auto [dtype, infinity] = GetParam();
  const double largest = load_bits(dtype, static_cast<uint16_t>(infinity - 1));
  const double before = load_bits(dtype, static_cast<uint16_t>(infinity - 2));
  const double limit = largest + (largest - before) / 2;
  EXPECT_EQ(store_bits(dtype, std::nextafter(limit, 0.0)), infinity - 1);
  EXPECT_EQ(store_bits(dtype, limit), infinity);
  EXPECT_EQ(store_bits(dtype, -std::numeric_limits<double>::max()), 0x8000 | infinity);
  EXPECT_EQ(store_bits(dtype, std::numeric_limits<double>::infinity()), infinity);
}

TEST_P(SmallFloat, TinyDoublesBecomeSignedZero) {
  const auto [dtype, infinity] = GetParam();
  const double smallest = load_bits(dtype, 1);
  EXPECT_EQ(store_bits(dtype, smallest / 2), 0);
  EXPECT_EQ(store_bits(dtype, std::nextafter(smallest / 2, 1.0)), 1);
  EXPECT_EQ(store_bits(dtype, -smallest / 4), 0x8000);
  EXPECT_EQ(store_bits(dtype, std::numeric_limits<double>::denorm_min()), 0);
  EXPECT_EQ(underflow_unit(dtype), smallest / 2);
}

TEST_P(SmallFloat, NanStaysQuietAndKeepsItsSign) {
  const auto [dtype, infinity] = GetParam();
  const double signaling = std::bit_cast<double>(uint64_t{0xFFF0000000000001});
  const uint16_t bits = store_bits(dtype, signaling);
  EXPECT_GT(bits & 0x7FFF, infinity);
  EXPECT_EQ(bits & 0x8000, 0x8000);
  const auto loaded =
      std::bit_cast<uint64_t>(load_bits(dtype, static_cast<uint16_t>(infinity | 1)));
  EXPECT_NE(loaded & (uint64_t{1} << 51), 0U);
}

INSTANTIATE_TEST_SUITE_P(Formats, SmallFloat,
                         testing::Values(Format{DType::kF16, 0x7C00}, Format{DType::kBF16, 0x7F80}),
                         [](const auto& info) { return std::string(name_of(info.param.dtype)); });

TEST(DType, BrainFloatIsTheUpperHalfOfFloat) {
  for (uint32_t pattern = 0; pattern < 0x10000; ++pattern) {
    const float value = std::bit_cast<float>(pattern << 16);
    if (std::isnan(value)) continue;
    ASSERT_EQ(load_bits(DType::kBF16, static_cast<uint16_t>(pattern)), static_cast<double>(value));
  }
}

TEST(DType, KnownHalves) {
  EXPECT_EQ(load_bits(DType::kF16, 0x3C00), 1.0);
  EXPECT_EQ(load_bits(DType::kF16, 0xC000), -2.0);
  EXPECT_EQ(load_bits(DType::kF16, 0x7BFF), 65504.0);
  EXPECT_EQ(load_bits(DType::kF16, 0x0001), 0x1p-24);
  EXPECT_EQ(load_bits(DType::kF16, 0x0400), 0x1p-14);
}

TEST(DType, UnitRoundoffIsHalfTheSpacingAtOne) {
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64}) {
    const double unit = unit_roundoff(dtype);
    EXPECT_EQ(round_to(dtype, 1.0 + 2 * unit), 1.0 + 2 * unit) << name_of(dtype);
    EXPECT_EQ(round_to(dtype, 1.0 + unit), 1.0) << name_of(dtype);
  }
  EXPECT_EQ(unit_roundoff(DType::kI32), 0.0);
}

TEST(DType, IntegersRoundAndSaturate) {
  EXPECT_EQ(round_to(DType::kI32, 2.5), 2.0);
  EXPECT_EQ(round_to(DType::kI32, -3.5), -4.0);
  EXPECT_EQ(round_to(DType::kI32, 1e20), 2147483647.0);
  EXPECT_EQ(round_to(DType::kI64, -1e20), -0x1p63);
  EXPECT_EQ(round_to(DType::kI64, std::nan("")), 0.0);
}

TEST(DType, NamesComeBack) {
  for (const DType dtype :
       {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kI32, DType::kI64}) {
    EXPECT_EQ(dtype_from_name(name_of(dtype)), dtype);
  }
  EXPECT_FALSE(dtype_from_name("f8").has_value());
  EXPECT_EQ(size_of(DType::kBF16), 2U);
  EXPECT_FALSE(is_floating(DType::kI32));
}

}  // namespace
}  // namespace packproof
