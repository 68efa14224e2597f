#include "harness/core/tensor.h"

#include <limits>

#include <gtest/gtest.h>

namespace packproof {
namespace {

Tensor counting(std::vector<int64_t> shape) {
  Tensor tensor(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < tensor.numel(); ++i) tensor.set(i, static_cast<double>(i));
  return tensor;
}

TEST(Tensor, StoresExactlyTheReachableElements) {
  EXPECT_EQ(Tensor(DType::kF32, {2, 3}).storage_elements(), 6);
  EXPECT_EQ(Tensor(DType::kF32, {2, 3}, {10, 1}).storage_elements(), 13);
  EXPECT_EQ(Tensor(DType::kF32, {4, 3}, {0, 1}).storage_elements(), 3);
  EXPECT_EQ(Tensor(DType::kF32, {0, 3}, {10, 1}).storage_elements(), 0);
  EXPECT_EQ(Tensor(DType::kF64, {}).storage_elements(), 1);
  EXPECT_TRUE(Tensor().empty());
  EXPECT_EQ(Tensor().numel(), 0);
}

TEST(Tensor, IsZeroWhateverItsMemoryHeldBefore) {
  for (const int64_t count : {int64_t{100}, int64_t{1} << 20}) {  // On the heap, in huge pages.
    for (int repeat = 0; repeat < 3; ++repeat) {
      Tensor tensor(DType::kF64, {count});
      for (double& value : tensor.values<double>()) {
        ASSERT_EQ(value, 0.0);
        value = 1.0;
      }
    }
  }
}

TEST(Tensor, IndexesThroughStrides) {
  const Tensor strided = counting({2, 3, 2}).with_strides({20, 5, 1}, std::byte{0xFF});
  EXPECT_FALSE(strided.is_contiguous());
  EXPECT_EQ(strided.offset_of(9), 20 + 5 * 1 + 1);
  for (int64_t i = 0; i < strided.numel(); ++i) EXPECT_EQ(strided.at(i), static_cast<double>(i));
  EXPECT_EQ(strided.bytes()[2 * sizeof(float)], std::byte{0xFF});
}

TEST(Tensor, StridesOfSizeOneAxesDoNotMatter) {
  EXPECT_TRUE(Tensor(DType::kF32, {1, 4}, {99, 1}).is_contiguous());
  EXPECT_FALSE(Tensor(DType::kF32, {2, 4}, {5, 1}).is_contiguous());
}

TEST(Tensor, KeepsWideIntegersExactly) {
  const int64_t wide = (int64_t{1} << 62) + 1;
  const int64_t values[] = {wide, -1};
  const Tensor tensor = Tensor::from_ints(DType::kI64, {2}, values);
  EXPECT_EQ(tensor.int_at(0), wide);
  EXPECT_EQ(tensor.reshaped({2, 1}).int_at(0), wide);
  EXPECT_EQ(tensor.to(DType::kI64).int_at(0), wide);
}

TEST(Tensor, ConvertsWithOneRounding) {
  const double values[] = {1.0 + 0x1p-9, 3.0};
  const Tensor rounded = Tensor::from_doubles(DType::kF64, {2}, values).to(DType::kBF16);
  EXPECT_EQ(rounded.at(0), 1.0);
  EXPECT_EQ(rounded.at(1), 3.0);
  EXPECT_EQ(rounded.bits_at(1), 0x4040U);
}

TEST(Tensor, SlicesRowsOfAnyAxis) {
  const Tensor tensor = counting({2, 3, 2}).with_strides({20, 5, 1}, std::byte{0xFF});
  const Tensor middle = tensor.slice(1, 1, 3);
  EXPECT_EQ(middle.shape(), (std::vector<int64_t>{2, 2, 2}));
  const double expected[] = {2, 3, 4, 5, 8, 9, 10, 11};
  for (int64_t i = 0; i < 8; ++i) EXPECT_EQ(middle.at(i), expected[i]);
  EXPECT_TRUE(tensor.slice(0, 1, 1).empty());
  EXPECT_EQ(tensor.slice(2, 1, 2).at(5), 11.0);
}

TEST(Tensor, CountsElementsWithCare) {
  EXPECT_EQ(checked_numel({2, 3}), 6);
  EXPECT_EQ(checked_numel({}), 1);
  EXPECT_EQ(checked_numel({int64_t{1} << 40, 0, int64_t{1} << 20}), 0);
  EXPECT_LT(checked_numel({int64_t{1} << 40, int64_t{1} << 40}), 0);
  EXPECT_LT(checked_numel({0, -1}), 0);
  EXPECT_EQ(shape_text({2, 3}), "[2, 3]");
}

TEST(TensorDeathTest, RefusesShapesThatAreMistakes) {
  EXPECT_DEATH(Tensor(DType::kF32, {-1}), "non-negative");
  EXPECT_DEATH(Tensor(DType::kF32, {2, 2}, {-1, 1}), "strides >= 0");
  EXPECT_DEATH(Tensor(DType::kF32, {2}).slice(0, 1, 3), "slice");
}

}  // namespace
}  // namespace packproof
