#include "kernels/testing/all_ops.h"

#include "kernels/testing/delta_rule_call.h"
#include "kernels/testing/loaded_library.h"
#include "kernels/testing/test_packing.h"
#include "kernels/testing/test_tensor.h"

#include <gtest/gtest.h>

namespace packproof {

std::vector<uint64_t> bits_of_all_ops(const packproof_library& library, int32_t dtype,
                                      const std::function<void()>& finish) {
  std::vector<uint64_t> bits;
  const auto keep = [&bits](const TestTensor& tensor) {
    const std::vector<uint64_t> more = tensor.bits();
    bits.insert(bits.end(), more.begin(), more.end());
  };
  const TestPacking packing({3, 0, 50, 1}, 2, TestMetadata::kBoth);
  {
    const TestTensor x = TestTensor::random(dtype, {1, packing.total(), 40}, 1);
    const TestTensor weight = TestTensor::random(dtype, {40, 4}, 2);
    const TestTensor initial = TestTensor::random(dtype, {4, 40, 3}, 3);
    const TestTensor output(dtype, {1, packing.total(), 40}), final(dtype, {4, 40, 3});
    packproof_causal_conv1d_fwd_args args{};
    args.struct_size = sizeof(args);
    args.packing = packing.view();
    args.x = x.view();
    args.weight = weight.view();
    args.initial_state = initial.view();
    args.output = output.view();
    args.final_state = final.view();
    args.activation = PACKPROOF_SILU;
    EXPECT_EQ(launch_on(library, PACKPROOF_CAUSAL_CONV1D, args).status, PACKPROOF_OK);
    finish();
    keep(output);
    keep(final);
  }
  for (const int64_t k_dim : {16, 32, 64, 100, 200}) {
    DeltaRuleCall call =
        DeltaRuleCall::random(packing.view(), 1, packing.total(), {1, 2, k_dim, 36}, dtype);
    if (k_dim == 100) {
      call.g = TestTensor();
      call.a = TestTensor::random(dtype, {1, packing.total(), 2}, 4, -30.0, 30.0);
      call.A_log = TestTensor::random(PACKPROOF_F32, {2}, 5, -4.0, 1.0);
      call.dt_bias = TestTensor::random(PACKPROOF_F32, {2}, 6);
    }
    EXPECT_EQ(call.launch(library).status, PACKPROOF_OK);
    finish();
    keep(call.output);
    keep(call.final_state);
  }
  {
    const TestTensor x = TestTensor::random(dtype, {3, 40}, 10);
    const TestTensor weight = TestTensor::random(dtype, {40, 4}, 11);
    const TestTensor pool = TestTensor::random(dtype, {3, 40, 3}, 12);
    const TestTensor output(dtype, {3, 40});
    packproof_causal_conv1d_update_args args{};
    args.struct_size = sizeof(args);
    args.x = x.view();
    args.weight = weight.view();
    args.conv_state = pool.view();
    args.output = output.view();
    args.activation = PACKPROOF_SILU;
    EXPECT_EQ(launch_on(library, PACKPROOF_CAUSAL_CONV1D_UPDATE, args).status, PACKPROOF_OK);
    finish();
    keep(output);
    keep(pool);
  }
  {
    const TestTensor q = TestTensor::random(dtype, {3, 1, 128}, 13);
    const TestTensor k = TestTensor::random(dtype, {3, 1, 128}, 14);
    const TestTensor v = TestTensor::random(dtype, {3, 2, 36}, 15);
    const TestTensor g = TestTensor::random(PACKPROOF_F32, {3, 2}, 16, -100.0, 0.0);
    const TestTensor beta = TestTensor::random(dtype, {3, 2}, 17, 0.1, 0.9);
    const TestTensor pool = TestTensor::random(PACKPROOF_F32, {3, 2, 128, 36}, 18);
    const TestTensor output(dtype, {3, 2, 36});
    packproof_gated_delta_rule_update_args args{};
    args.struct_size = sizeof(args);
    args.q = q.view();
    args.k = k.view();
    args.v = v.view();
    args.g = g.view();
    args.beta = beta.view();
    args.state = pool.view();
    args.output = output.view();
    args.qk_l2norm = 1;
    EXPECT_EQ(launch_on(library, PACKPROOF_RECURRENT_GATED_DELTA_RULE_UPDATE, args).status,
              PACKPROOF_OK);
    finish();
    keep(output);
    keep(pool);
  }
  {
    const TestTensor x = TestTensor::random(dtype, {7, 130}, 7);
    const TestTensor z = TestTensor::random(dtype, {7, 130}, 8, -100.0, 100.0);
    const TestTensor weight = TestTensor::random(dtype, {130}, 9);
    const TestTensor output(dtype, {7, 130});
    packproof_gated_rms_norm_fwd_args args{};
    args.struct_size = sizeof(args);
    args.x = x.view();
    args.z = z.view();
    args.weight = weight.view();
    args.output = output.view();
    args.eps = 1e-6f;
    EXPECT_EQ(launch_on(library, PACKPROOF_GATED_RMS_NORM, args).status, PACKPROOF_OK);
    finish();
    keep(output);
  }
  return bits;
}

}  // namespace packproof
