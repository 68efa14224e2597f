#include "kernels/testing/loaded_library.h"
#include "kernels/testing/test_packing.h"
#include "kernels/testing/test_tensor.h"

#include <cmath>

#include <gtest/gtest.h>

// A smoke test of the kernels on hand-made packings against loops from the definition; the harness
// judges them on random ones.

namespace packproof {
namespace {

/// One forward call: tensors, boundaries, and where its sequences lie.
struct ConvCall {
  packproof_packing packing{};
  TestTensor x, weight, bias, initial_state, output, final_state;
  int32_t activation = PACKPROOF_SILU;

  packproof_causal_conv1d_fwd_args args() const {
    packproof_causal_conv1d_fwd_args args{};
    args.struct_size = sizeof(args);
    args.packing = packing;
    args.x = x.view();
    args.weight = weight.view();
    args.bias = bias.view();
    args.initial_state = initial_state.view();
    args.output = output.view();
    args.final_state = final_state.view();
    args.activation = activation;
    return args;
  }

  void run(const packproof_library& library = fastest_library()) const {
    const LaunchResult result = launch_on(library, PACKPROOF_CAUSAL_CONV1D, args());
    ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
  }
};

constexpr double kUntouched = -77.0;

ConvCall packed_call(const TestPacking& packing, int32_t dtype, int64_t channels, int64_t width,
                     bool with_states) {
  ConvCall call;
  call.packing = packing.view();
  call.x = TestTensor::random(dtype, {1, packing.total(), channels}, 1);
  call.weight = TestTensor::random(dtype, {channels, width}, 2);
  call.bias = TestTensor::random(dtype, {channels}, 3);
  call.output = TestTensor(dtype, {1, packing.total(), channels});
  call.output.fill(kUntouched);
  if (with_states) {
    call.initial_state = TestTensor::random(dtype, {packing.num_seqs(), channels, width - 1}, 4);
    call.final_state = TestTensor(dtype, {packing.num_seqs(), channels, width - 1});
  }
  return call;
}

/// Input `t` of a sequence at `start`, where negative t reads the initial state.
double input_at(const ConvCall& call, int64_t batch, int64_t n, int64_t start, int64_t t,
                int64_t channel) {
  if (t >= 0) return call.x.at({batch, start + t, channel});
  const int64_t column = t + call.weight.shape()[1] - 1;
  return call.initial_state.present() ? call.initial_state.at({n, channel, column}) : 0.0;
}

/// Compares one sequence with the definition.
void expect_sequence(const ConvCall& call, int64_t batch, int64_t n, int64_t start, int64_t length,
                     int32_t dtype) {
  const int64_t channels = call.weight.shape()[0];
  const int64_t width = call.weight.shape()[1];
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t t = 0; t < length; ++t) {
      double sum = call.bias.present() ? call.bias.at({c}) : 0.0;
      double magnitude = std::fabs(sum);
      for (int64_t j = 0; j < width; ++j) {
        const double term =
            call.weight.at({c, j}) * input_at(call, batch, n, start, t - width + 1 + j, c);
        sum += term;
        magnitude += std::fabs(term);
      }
      const bool silu = call.activation == PACKPROOF_SILU;
      const double want = silu ? sum / (1.0 + std::exp(-sum)) : sum;
      // W roundings of the sum, each at most u times the magnitude, through |silu'| <= 1.1; 4 ulp
      // (8 u) of silu; one rounding to the dtype.
      const double tolerance =
          1.1 * static_cast<double>(width) * 0x1p-24 * magnitude + 8 * 0x1p-24 * std::fabs(want) +
          1.01 * unit_roundoff(dtype) * std::fabs(want) + rounding_at_zero(dtype);
      ASSERT_NEAR(call.output.at({batch, start + t, c}), want, tolerance)
          << "sequence " << n << ", row " << t << ", channel " << c;
    }
    if (!call.final_state.present()) continue;
    for (int64_t j = 0; j < width - 1; ++j) {
      ASSERT_EQ(call.final_state.at({n, c, j}),
                input_at(call, batch, n, start, length - width + 1 + j, c))
          << "state of sequence " << n << ", channel " << c << ", column " << j;
    }
  }
}

class CausalConv1d : public testing::TestWithParam<int32_t> {};

INSTANTIATE_TEST_SUITE_P(Dtypes, CausalConv1d,
                         testing::Values(PACKPROOF_F32, PACKPROOF_F16, PACKPROOF_BF16));

TEST_P(CausalConv1d, FollowsTheDefinitionForEveryWidthAndMetadata) {
  for (int64_t width = 2; width <= 8; ++width) {
    for (const TestMetadata metadata : {TestMetadata::kCuSeqlens, TestMetadata::kCuSeqlens64,
                                        TestMetadata::kSeqIdx, TestMetadata::kBoth}) {
      const TestPacking packing({0, 1, 5, 0, 33, 2, 64, 0}, 3, metadata);
      const bool with_states = metadata != TestMetadata::kSeqIdx;
      const ConvCall call = packed_call(packing, GetParam(), 5, width, with_states);
      call.run();
      for (int64_t n = 0; n < packing.num_seqs(); ++n) {
        const auto at = static_cast<size_t>(n);
        expect_sequence(call, 0, n, packing.cu[at], packing.lens[at], GetParam());
      }
      // Slack: zeros where seq_idx names it, untouched where only cu_seqlens leaves it out.
      const bool has_seq_idx = metadata == TestMetadata::kSeqIdx || metadata == TestMetadata::kBoth;
      for (int64_t row = packing.total() - 3; row < packing.total(); ++row) {
        EXPECT_EQ(call.output.at({0, row, 2}), has_seq_idx ? 0.0 : kUntouched);
      }
    }
  }
}

TEST_P(CausalConv1d, DenseRowsAreSequences) {
  ConvCall call;
  call.packing = dense_packing(3, 37);
  call.x = TestTensor::random(GetParam(), {3, 37, 130}, 5);
  call.weight = TestTensor::random(GetParam(), {130, 4}, 6);
  call.initial_state = TestTensor::random(GetParam(), {3, 130, 3}, 7);
  call.output = TestTensor(GetParam(), {3, 37, 130});
  call.final_state = TestTensor(GetParam(), {3, 130, 3});
  call.activation = PACKPROOF_NONE;
  call.run();
  for (int64_t n = 0; n < 3; ++n) expect_sequence(call, n, n, 0, 37, GetParam());
}

TEST_P(CausalConv1d, PackedHasTheBitsOfAlone) {
  const TestPacking packing({7, 1, 0, 40, 3}, 2);
  const ConvCall packed = packed_call(packing, GetParam(), 6, 4, true);
  packed.run();
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    const auto at = static_cast<size_t>(n);
    const TestPacking alone_packing({packing.lens[at]}, 0);
    ConvCall alone = packed_call(alone_packing, GetParam(), 6, 4, true);
    alone.x = packed.x.slice(1, packing.cu[at], packing.lens[at]);
    alone.initial_state = packed.initial_state.slice(0, n, 1);
    alone.run();
    EXPECT_EQ(alone.output.bits(), packed.output.slice(1, packing.cu[at], packing.lens[at]).bits());
    EXPECT_EQ(alone.final_state.bits(), packed.final_state.slice(0, n, 1).bits());
  }
}

TEST_P(CausalConv1d, StridedTensorsGiveTheSameBitsAndKeepTheirGaps) {
  const TestPacking packing({4, 9, 1}, 1);
  const ConvCall plain = packed_call(packing, GetParam(), 5, 3, true);
  ConvCall strided = plain;
  for (TestTensor ConvCall::*tensor : {&ConvCall::x, &ConvCall::weight, &ConvCall::initial_state,
                                       &ConvCall::output, &ConvCall::final_state}) {
    strided.*tensor = (plain.*tensor).with_gap(7);
  }
  plain.run();
  strided.run();
  EXPECT_EQ(strided.output.bits(), plain.output.bits());
  EXPECT_EQ(strided.final_state.bits(), plain.final_state.bits());
  EXPECT_TRUE(strided.output.gaps_intact());
  EXPECT_TRUE(strided.final_state.gaps_intact());
}

TEST_P(CausalConv1d, NaNNeighboursAndSlackChangeNothing) {
  const TestPacking packing({5, 3, 6}, 2);
  const ConvCall clean = packed_call(packing, GetParam(), 4, 4, false);
  ConvCall loud = packed_call(packing, GetParam(), 4, 4, false);
  for (int64_t row : {5, 6, 7, 14, 15}) {
    for (int64_t c = 0; c < 4; ++c) loud.x.set({0, row, c}, NAN);
  }
  clean.run();
  loud.run();
  EXPECT_EQ(loud.output.slice(1, 0, 5).bits(), clean.output.slice(1, 0, 5).bits());
  EXPECT_EQ(loud.output.slice(1, 8, 8).bits(), clean.output.slice(1, 8, 8).bits());
}

TEST_P(CausalConv1d, EqualIdsReconnectAndNegativeOnesWriteZeros) {
  // Spec 6.3: taps count by equality, not by contiguity.
  TestPacking packing({6}, 0, TestMetadata::kSeqIdx);
  packing.seq_idx = {3, 0, 3, -1, 0, 3};
  ConvCall call = packed_call(packing, GetParam(), 1, 4, false);
  call.bias = TestTensor();
  call.activation = PACKPROOF_NONE;
  call.run();
  const auto term = [&](int64_t row, int64_t j) {
    return call.weight.at({0, j}) * call.x.at({0, row, 0});
  };
  // At most 4 roundings of a sum below 4, and one to the dtype.
  const double tolerance = 16 * 0x1p-24 + 4 * unit_roundoff(GetParam());
  EXPECT_NEAR(call.output.at({0, 2, 0}), term(0, 1) + term(2, 3), tolerance);
  EXPECT_EQ(call.output.at({0, 3, 0}), 0.0);
  EXPECT_NEAR(call.output.at({0, 4, 0}), term(1, 0) + term(4, 3), tolerance);
  EXPECT_NEAR(call.output.at({0, 5, 0}), term(2, 0) + term(5, 3), tolerance);
}

TEST_P(CausalConv1d, DecodingTokenByTokenHasTheBitsOfPrefill) {
  const TestPacking packing({9, 9}, 0);
  const ConvCall prefill = packed_call(packing, GetParam(), 35, 4, true);
  prefill.run();
  // Slots 2 and 0 of a pool of three; row 1 of every step is skipped.
  TestTensor pool = TestTensor::random(GetParam(), {3, 35, 3}, 9);
  const std::vector<uint64_t> unused_slot = pool.slice(0, 1, 1).bits();
  for (int64_t c = 0; c < 35; ++c) {
    for (int64_t j = 0; j < 3; ++j) {
      pool.set({2, c, j}, prefill.initial_state.at({0, c, j}));
      pool.set({0, c, j}, prefill.initial_state.at({1, c, j}));
    }
  }
  const std::vector<int32_t> slots = {2, -1, 0};
  const TestTensor indices = TestTensor::i32(slots);
  for (int64_t t = 0; t < 9; ++t) {
    TestTensor x = TestTensor::random(GetParam(), {3, 35}, 10);
    TestTensor output(GetParam(), {3, 35});
    output.fill(kUntouched);
    for (int64_t c = 0; c < 35; ++c) {
      x.set({0, c}, prefill.x.at({0, t, c}));
      x.set({2, c}, prefill.x.at({0, 9 + t, c}));
    }
    packproof_causal_conv1d_update_args args{};
    args.struct_size = sizeof(args);
    args.x = x.view();
    args.weight = prefill.weight.view();
    args.bias = prefill.bias.view();
    args.conv_state = pool.view();
    args.state_indices = indices.view();
    args.state_indices_host = slots.data();
    args.output = output.view();
    args.activation = PACKPROOF_SILU;
    const LaunchResult result = launch_on(fastest_library(), PACKPROOF_CAUSAL_CONV1D_UPDATE, args);
    ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
    EXPECT_EQ(output.slice(0, 0, 1).bits(), prefill.output.slice(1, t, 1).bits()) << t;
    EXPECT_EQ(output.slice(0, 1, 1).bits(), TestTensor(GetParam(), {1, 35}).bits()) << t;
    EXPECT_EQ(output.slice(0, 2, 1).bits(), prefill.output.slice(1, 9 + t, 1).bits()) << t;
  }
  EXPECT_EQ(pool.slice(0, 2, 1).bits(), prefill.final_state.slice(0, 0, 1).bits());
  EXPECT_EQ(pool.slice(0, 0, 1).bits(), prefill.final_state.slice(0, 1, 1).bits());
  EXPECT_EQ(pool.slice(0, 1, 1).bits(), unused_slot);
}

}  // namespace
}  // namespace packproof
