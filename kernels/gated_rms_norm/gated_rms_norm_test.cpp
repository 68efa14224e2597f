#include "kernels/testing/loaded_library.h"
#include "kernels/testing/test_tensor.h"

#include <cmath>

#include <gtest/gtest.h>

namespace packproof {
namespace {

class GatedRmsNorm : public testing::TestWithParam<int32_t> {};

INSTANTIATE_TEST_SUITE_P(Dtypes, GatedRmsNorm,
                         testing::Values(PACKPROOF_F32, PACKPROOF_F16, PACKPROOF_BF16));

packproof_gated_rms_norm_fwd_args arguments(const TestTensor& x, const TestTensor& z,
                                            const TestTensor& weight, const TestTensor& output) {
  packproof_gated_rms_norm_fwd_args args{};
  args.struct_size = sizeof(args);
  args.x = x.view();
  args.z = z.view();
  args.weight = weight.view();
  args.output = output.view();
  args.eps = 1e-6f;
  return args;
}

TEST_P(GatedRmsNorm, FollowsTheDefinitionForAnyRowSize) {
  for (const int64_t size : {1, 3, 31, 32, 33, 128, 1024, 1500}) {
    const TestTensor x = TestTensor::random(GetParam(), {5, size}, 1, -3.0, 3.0).with_gap(3);
    const TestTensor z = TestTensor::random(GetParam(), {5, size}, 2, -6.0, 6.0);
    const TestTensor weight = TestTensor::random(GetParam(), {size}, 3, 0.5, 1.5);
    const TestTensor output(GetParam(), {5, size}, 2);
    const LaunchResult result =
        launch_on(fastest_library(), PACKPROOF_GATED_RMS_NORM, arguments(x, z, weight, output));
    ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
    for (int64_t row = 0; row < 5; ++row) {
      double squares = 0.0;
      for (int64_t i = 0; i < size; ++i) squares += x.at({row, i}) * x.at({row, i});
      const double inverse_rms = 1.0 / std::sqrt(squares / static_cast<double>(size) + 1e-6f);
      for (int64_t i = 0; i < size; ++i) {
        const double gate = z.at({row, i});
        const double want =
            x.at({row, i}) * inverse_rms * weight.at({i}) * gate / (1.0 + std::exp(-gate));
        // Sum of squares: size / 32 roundings in a lane and 5 in the tree, halved by the root;
        // mean, eps, 2 ulp of rsqrt, 4 ulp of silu and 3 products add at most 18.
        const double roundings = static_cast<double>(size) / 64.0 + 3.0 + 18.0;
        const double tolerance =
            (roundings * 0x1p-24 + 1.01 * unit_roundoff(GetParam())) * std::fabs(want) +
            rounding_at_zero(GetParam());
        ASSERT_NEAR(output.at({row, i}), want, tolerance) << size << ": " << row << ", " << i;
      }
    }
    EXPECT_TRUE(output.gaps_intact());
  }
}

TEST_P(GatedRmsNorm, ARowHasTheSameBitsWhereverItStands) {
  const TestTensor x = TestTensor::random(GetParam(), {9, 100}, 4);
  const TestTensor z = TestTensor::random(GetParam(), {9, 100}, 5);
  const TestTensor weight = TestTensor::random(GetParam(), {100}, 6);
  const TestTensor all(GetParam(), {9, 100});
  ASSERT_EQ(
      launch_on(fastest_library(), PACKPROOF_GATED_RMS_NORM, arguments(x, z, weight, all)).status,
      PACKPROOF_OK);
  for (int64_t row = 0; row < 9; ++row) {
    const TestTensor one(GetParam(), {1, 100});
    const TestTensor x_row = x.slice(0, row, 1);
    const TestTensor z_row = z.slice(0, row, 1);
    ASSERT_EQ(
        launch_on(fastest_library(), PACKPROOF_GATED_RMS_NORM, arguments(x_row, z_row, weight, one))
            .status,
        PACKPROOF_OK);
    EXPECT_EQ(one.bits(), all.slice(0, row, 1).bits());
  }
}

}  // namespace
}  // namespace packproof
