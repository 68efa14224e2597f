#include "reference/aten_tensor.h"

#include <array>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

TEST(AtenTensor, WidensFloatingValuesAndKeepsShape) {
  const std::array<double, 6> values{1.0, -2.5, 0.0, 3.0, 4.0, -0.125};
  const Tensor source = Tensor::from_doubles(DType::kBF16, {2, 3}, values);
  const at::Tensor wide = to_aten(source);
  ASSERT_EQ(wide.scalar_type(), at::kDouble);
  ASSERT_EQ(wide.sizes().vec(), source.shape());
  for (int64_t i = 0; i < 6; ++i) EXPECT_EQ(wide.data_ptr<double>()[i], values[i]);
}

TEST(AtenTensor, ReadsThroughStrides) {
  const std::array<double, 4> values{1.0, 2.0, 3.0, 4.0};
  const Tensor source =
      Tensor::from_doubles(DType::kF32, {2, 2}, values).with_strides({5, 1}, std::byte{0xFF});
  EXPECT_EQ(to_aten(source)[1][0].item<double>(), 3.0);
}

TEST(AtenTensor, ComesBackContiguousFromATransposedView) {
  const at::Tensor view = at::arange(6, at::kLong).reshape({2, 3}).t();
  const Tensor back = from_aten(view);
  EXPECT_EQ(back.dtype(), DType::kI64);
  EXPECT_EQ(back.shape(), (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(back.int_at(1), 3);
}

}  // namespace
}  // namespace packproof::reference
