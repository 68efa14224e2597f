#include "reference/token_values.h"

#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

/// Every number of 16 bits.
Tensor all_halves(DType dtype) {
  Tensor tensor(dtype, {1 << 16});
  for (uint32_t bits = 0; bits < 1 << 16; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    std::memcpy(tensor.bytes().data() + std::size_t{2} * bits, &half, sizeof half);
  }
  return tensor;
}

TEST(StoredValues, ReadsWhatATensorReads) {
  for (const DType dtype : {DType::kF16, DType::kBF16}) {
    const Tensor tensor = all_halves(dtype);
    const TokenValues values = TokenValues::view_of(tensor);
    const std::vector<double> row = values.stored().row(0, tensor.numel());
    for (int64_t i = 0; i < tensor.numel(); ++i) {
      const double expected = tensor.at(i);
      ASSERT_EQ(values.stored().finite(i, 1), std::isfinite(expected)) << name_of(dtype) << i;
      if (!std::isfinite(expected)) continue;
      ASSERT_EQ(row[static_cast<std::size_t>(i)], expected) << name_of(dtype) << i;
      ASSERT_EQ(std::signbit(row[static_cast<std::size_t>(i)]), std::signbit(expected)) << i;
    }
  }
}

TEST(StoredValues, FindsWhatIsNotFiniteAnywhere) {
  for (const DType dtype : {DType::kF32, DType::kF64, DType::kF16, DType::kBF16}) {
    for (const double bad : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
      Tensor tensor(dtype, {21});
      EXPECT_TRUE(TokenValues::view_of(tensor).stored().finite(0, 21));
      for (int64_t place = 0; place < 21; ++place) {
        tensor.set(place, bad);
        EXPECT_FALSE(TokenValues::view_of(tensor).stored().finite(0, 21)) << place;
        tensor.set(place, 1.0);
      }
    }
  }
}

TEST(TokenValues, OwnsWhatWasConverted) {
  TokenValues first =
      TokenValues::owning(Tensor::from_doubles(DType::kF64, {2}, std::vector{1.0, 2.0}));
  const TokenValues second = std::move(first);
  EXPECT_EQ(second.stored().row(0, 2), (std::vector{1.0, 2.0}));
  EXPECT_EQ(second.shape(), std::vector<int64_t>{2});
}

}  // namespace
}  // namespace packproof::reference
