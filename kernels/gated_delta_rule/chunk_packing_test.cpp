#include "kernels/testing/delta_rule_call.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// What a sequence computes depends on nothing but its own data and length: every comparison here is
// of bits.

namespace packproof {
namespace {

constexpr TestTensor DeltaRuleCall::*kTokenTensors[] = {&DeltaRuleCall::q, &DeltaRuleCall::k,
                                                        &DeltaRuleCall::v, &DeltaRuleCall::g,
                                                        &DeltaRuleCall::beta};

// Two thousand packings over types and variants, fewer where a sanitizer slows them down.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kRounds = 15;
#else
constexpr int kRounds = 500;
#endif

/// `more_keys` take K, below 32 without them, into the tiles of the variant for sm_90.
struct Kind {
  int32_t dtype;
  int64_t more_keys;
};

class ChunkPacking : public testing::TestWithParam<Kind> {
 protected:
  static int32_t dtype() { return GetParam().dtype; }

  static int64_t keys(int64_t small) { return small + GetParam().more_keys; }
};

INSTANTIATE_TEST_SUITE_P(Kinds, ChunkPacking,
                         testing::Values(Kind{PACKPROOF_F16, 0}, Kind{PACKPROOF_BF16, 0},
                                         Kind{PACKPROOF_F16, 32}, Kind{PACKPROOF_BF16, 32}),
                         [](const auto& kind) {
                           return std::string(kind.param.dtype == PACKPROOF_F16 ? "f16" : "bf16") +
                                  (kind.param.more_keys == 0 ? "" : "_sm90");
                         });

/// Outputs and final state of the rows and the state that a sequence has in a call.
std::vector<uint64_t> bits_at(const DeltaRuleCall& call, int64_t n, int64_t first, int64_t length) {
  std::vector<uint64_t> bits = call.output.slice(1, first, length).bits();
  const std::vector<uint64_t> state = call.final_state.slice(0, n, 1).bits();
  bits.insert(bits.end(), state.begin(), state.end());
  return bits;
}

void copy_rows(const TestTensor& from, int64_t from_row, TestTensor& to, int64_t to_row,
               int64_t count) {
  const std::vector<int64_t>& shape = from.shape();
  const int64_t size = shape.size() == 4 ? shape[3] : 1;
  for (int64_t row = 0; row < count; ++row) {
    for (int64_t i = 0; i < shape[2] * size; ++i) {
      if (shape.size() == 4) {
        to.set({0, to_row + row, i / size, i % size},
               from.at({0, from_row + row, i / size, i % size}));
      } else {
        to.set({0, to_row + row, i}, from.at({0, from_row + row, i}));
      }
    }
  }
}

void copy_state(const TestTensor& from, int64_t from_n, TestTensor& to, int64_t to_n) {
  const std::vector<int64_t>& shape = from.shape();
  for (int64_t i = 0; i < shape[1] * shape[2] * shape[3]; ++i) {
    const int64_t head = i / (shape[2] * shape[3]), k = i / shape[3] % shape[2], v = i % shape[3];
    to.set({to_n, head, k, v}, from.at({from_n, head, k, v}));
  }
}

int64_t below(std::mt19937& random, int64_t bound) {
  return static_cast<int64_t>(random()) % bound;
}

/// A random packing of short, chunk-edge and empty sequences.
std::vector<int64_t> random_lengths(std::mt19937& random) {
  constexpr int64_t kEdges[] = {0,  1,  2,  15, 16,  17,  32,  33, 48,
                                63, 64, 65, 80, 127, 128, 129, 150};
  std::vector<int64_t> lens(static_cast<size_t>(1 + below(random, 6)));
  for (int64_t& length : lens) {
    length = below(random, 3) == 0 ? kEdges[below(random, std::ssize(kEdges))] : below(random, 20);
  }
  return lens;
}

DeltaRuleCall random_call(const TestPacking& packing, std::mt19937& random, int32_t dtype,
                          int64_t more_keys) {
  const int64_t k_heads = 1 + below(random, 2);
  const DeltaRuleShape shape{k_heads, k_heads * (1 + below(random, 2)),
                             4 + 4 * below(random, 4) + more_keys, 8 + 8 * below(random, 2)};
  DeltaRuleCall call =
      DeltaRuleCall::chunked(packing.view(), 1, packing.total(), shape, dtype, random());
  if (below(random, 3) == 0) call.initial_state = TestTensor();
  if (below(random, 3) == 0) {
    call.qk_l2norm = 0;
    call.k = TestTensor::random(dtype, call.k.shape(), random(), -0.25, 0.25);
  }
  return call;
}

TEST_P(ChunkPacking, RandomPackingsHaveTheBitsOfAloneAndOfPermuted) {
  std::mt19937 random(20 + static_cast<unsigned>(dtype() + keys(0)));
  for (int round = 0; round < kRounds; ++round) {
    const TestPacking packing(
        random_lengths(random), below(random, 3),
        below(random, 2) == 0 ? TestMetadata::kCuSeqlens : TestMetadata::kCuSeqlens64);
    const DeltaRuleCall packed = random_call(packing, random, dtype(), keys(0));
    ASSERT_EQ(packed.launch().status, PACKPROOF_OK);

    // The same sequences in another order.
    std::vector<int64_t> order(packing.lens.size());
    std::iota(order.begin(), order.end(), 0);
    std::shuffle(order.begin(), order.end(), random);
    std::vector<int64_t> lens;
    for (const int64_t n : order) lens.push_back(packing.lens[static_cast<size_t>(n)]);
    const TestPacking shuffled(lens, packing.total() - packing.cu.back());
    DeltaRuleCall permuted = packed;
    permuted.packing = shuffled.view();
    for (TestTensor DeltaRuleCall::*tensor :
         {&DeltaRuleCall::q, &DeltaRuleCall::k, &DeltaRuleCall::v, &DeltaRuleCall::g,
          &DeltaRuleCall::beta, &DeltaRuleCall::output}) {
      permuted.*tensor = (packed.*tensor).slice(1, 0, packing.total());
    }
    permuted.final_state = packed.final_state.slice(0, 0, packing.num_seqs());
    if (packed.initial_state.present()) {
      permuted.initial_state = packed.initial_state.slice(0, 0, packing.num_seqs());
    }
    for (size_t place = 0; place < order.size(); ++place) {
      const auto n = static_cast<size_t>(order[place]);
      for (TestTensor DeltaRuleCall::*tensor : kTokenTensors) {
        copy_rows(packed.*tensor, packing.cu[n], permuted.*tensor, shuffled.cu[place],
                  packing.lens[n]);
      }
      if (packed.initial_state.present()) {
        copy_state(packed.initial_state, order[place], permuted.initial_state,
                   static_cast<int64_t>(place));
      }
    }
    ASSERT_EQ(permuted.launch().status, PACKPROOF_OK);

    for (size_t place = 0; place < order.size(); ++place) {
      const int64_t n = order[place];
      const int64_t first = packing.cu[static_cast<size_t>(n)];
      const int64_t length = packing.lens[static_cast<size_t>(n)];
      const std::vector<uint64_t> bits = bits_at(packed, n, first, length);
      ASSERT_EQ(bits_at(permuted, static_cast<int64_t>(place), shuffled.cu[place], length), bits)
          << "round " << round << ", sequence " << n;
      const DeltaRuleCall alone = packed.part(n, first, length);
      ASSERT_EQ(alone.launch().status, PACKPROOF_OK);
      ASSERT_EQ(bits_at(alone, 0, 0, length), bits) << "round " << round << ", sequence " << n;
    }
    for (int64_t row = packing.cu.back(); row < packing.total(); ++row) {
      ASSERT_EQ(packed.output.at({0, row, 0, 0}), DeltaRuleCall::kUntouched);
    }
  }
}

TEST_P(ChunkPacking, SequencesOfOneTokenHaveTheSameBitsWithAndWithoutStates) {
  // Without states they take a way of their own, by runs of up to 64.
  std::vector<int64_t> lens(100, 1);
  lens[3] = 0;
  lens[70] = 5;
  const TestPacking packing(lens, 1);
  for (const int64_t k_dim : {8, 70}) {
    for (const int32_t norm : {0, 1}) {
      DeltaRuleCall with =
          DeltaRuleCall::chunked(packing.view(), 1, packing.total(), {2, 4, k_dim, 24}, dtype());
      with.qk_l2norm = norm;
      with.initial_state.fill(0.0);
      // Zeros of both signs, and a gate that is none.
      for (int64_t i = 0; i < 24; i += 3) with.v.set({0, 10, 1, i}, i % 2 == 0 ? -0.0 : 0.0);
      with.g.set({0, 20, 2}, std::numeric_limits<double>::quiet_NaN());
      DeltaRuleCall without = with;
      without.output = TestTensor(dtype(), with.output.shape());
      without.output.fill(DeltaRuleCall::kUntouched);
      without.initial_state = without.final_state = TestTensor();
      ASSERT_EQ(with.launch().status, PACKPROOF_OK);
      ASSERT_EQ(without.launch().status, PACKPROOF_OK);
      EXPECT_EQ(without.output.bits(), with.output.bits());
      EXPECT_TRUE(std::isnan(without.output.at({0, 20, 2, 0})));
      EXPECT_FALSE(std::isnan(without.output.at({0, 20, 1, 0})));
      for (TestTensor DeltaRuleCall::*tensor : {&DeltaRuleCall::v, &DeltaRuleCall::output}) {
        without.*tensor = (without.*tensor).with_gap(3);
      }
      without.output.fill(DeltaRuleCall::kUntouched);
      ASSERT_EQ(without.launch().status, PACKPROOF_OK);
      EXPECT_EQ(without.output.bits(), with.output.bits());
    }
  }
}

TEST_P(ChunkPacking, RightPaddingChangesNoBitBeforeIt) {
  const DeltaRuleShape shape{1, 2, keys(16), 8};
  const DeltaRuleCall padded =
      DeltaRuleCall::chunked(dense_packing(1, 140), 1, 140, shape, dtype());
  ASSERT_EQ(padded.launch().status, PACKPROOF_OK);
  for (const int64_t length : {1, 15, 16, 17, 63, 64, 65, 100, 128, 139}) {
    const DeltaRuleCall alone = padded.part(0, 0, length);
    ASSERT_EQ(alone.launch().status, PACKPROOF_OK);
    EXPECT_EQ(alone.output.bits(), padded.output.slice(1, 0, length).bits()) << length;
  }
  // Rows of zeros that do not decay leave the state as it is.
  DeltaRuleCall zeros = padded.part(0, 0, 140);
  for (TestTensor DeltaRuleCall::*tensor : kTokenTensors) {
    copy_rows(TestTensor(dtype(), (zeros.*tensor).shape()), 50, zeros.*tensor, 50, 90);
  }
  ASSERT_EQ(zeros.launch().status, PACKPROOF_OK);
  const DeltaRuleCall alone = padded.part(0, 0, 50);
  ASSERT_EQ(alone.launch().status, PACKPROOF_OK);
  EXPECT_EQ(zeros.final_state.bits(), alone.final_state.bits());
}

TEST_P(ChunkPacking, NanInNeighboursAndSlackChangesNoBit) {
  const std::vector<int64_t> lens = {1, 3, 1, 0, 20, 17, 65, 5, 64, 2, 129, 16, 1};
  const TestPacking packing(lens, 3);
  const DeltaRuleShape shape{1, 2, keys(24), 24};
  const DeltaRuleCall clean =
      DeltaRuleCall::chunked(packing.view(), 1, packing.total(), shape, dtype());
  ASSERT_EQ(clean.launch().status, PACKPROOF_OK);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  // Every sequence in turn, and the slack rows.
  for (int64_t poisoned = 0; poisoned <= packing.num_seqs(); ++poisoned) {
    const bool slack = poisoned == packing.num_seqs();
    const int64_t begin = packing.cu[static_cast<size_t>(poisoned)];
    const int64_t end = slack ? packing.total() : packing.cu[static_cast<size_t>(poisoned) + 1];
    DeltaRuleCall call = DeltaRuleCall::chunked(packing.view(), 1, packing.total(), shape, dtype());
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t head = 0; head < 2; ++head) {
        for (int64_t i = 0; i < 24; ++i) {
          if (head == 0) call.q.set({0, row, 0, i}, nan);
          if (head == 0) call.k.set({0, row, 0, i}, nan);
          call.v.set({0, row, head, i}, nan);
        }
        call.g.set({0, row, head}, nan);
        call.beta.set({0, row, head}, nan);
      }
    }
    if (!slack) {
      for (int64_t i = 0; i < 24; ++i) call.initial_state.set({poisoned, 1, i, i}, nan);
    }
    ASSERT_EQ(call.launch().status, PACKPROOF_OK);
    for (int64_t n = 0; n < packing.num_seqs(); ++n) {
      if (n == poisoned) continue;
      const auto at = static_cast<size_t>(n);
      ASSERT_EQ(bits_at(call, n, packing.cu[at], lens[at]),
                bits_at(clean, n, packing.cu[at], lens[at]))
          << "sequence " << n << " beside NaN in " << poisoned;
    }
    for (int64_t row = packing.cu.back(); row < packing.total(); ++row) {
      ASSERT_EQ(call.output.at({0, row, 1, 7}), DeltaRuleCall::kUntouched);
    }
  }
}

TEST_P(ChunkPacking, CuttingAtChunksAndCarryingTheStateHasTheBitsOfOnePrefill) {
  const DeltaRuleShape shape{1, 2, keys(24), 16};
  const DeltaRuleCall whole = DeltaRuleCall::chunked(dense_packing(1, 200), 1, 200, shape, dtype());
  ASSERT_EQ(whole.launch().status, PACKPROOF_OK);
  for (const std::vector<int64_t>& pieces :
       std::vector<std::vector<int64_t>>{{64, 136}, {128, 72}, {64, 64, 64, 8}, {192, 8}}) {
    TestTensor state = whole.initial_state;
    int64_t first = 0;
    for (const int64_t length : pieces) {
      DeltaRuleCall piece = whole.part(0, first, length);
      piece.initial_state = state;
      ASSERT_EQ(piece.launch().status, PACKPROOF_OK);
      EXPECT_EQ(piece.output.bits(), whole.output.slice(1, first, length).bits());
      state = piece.final_state;
      first += length;
    }
    EXPECT_EQ(state.bits(), whole.final_state.bits());
  }
}

TEST_P(ChunkPacking, EmptySequencesHandTheirStateOn) {
  const TestPacking packing({0, 0, 5, 0, 0, 0, 0, 70, 0}, 1);
  DeltaRuleCall call =
      DeltaRuleCall::chunked(packing.view(), 1, packing.total(), {1, 1, keys(8), 8}, dtype());
  call.initial_state.set({3, 0, 2, 2}, -0.0);
  call.initial_state.set({4, 0, 2, 2}, std::numeric_limits<double>::quiet_NaN());
  ASSERT_EQ(call.launch().status, PACKPROOF_OK);
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    if (packing.lens[static_cast<size_t>(n)] > 0) continue;
    EXPECT_EQ(call.final_state.slice(0, n, 1).bits(), call.initial_state.slice(0, n, 1).bits());
  }
  call.initial_state = TestTensor();
  ASSERT_EQ(call.launch().status, PACKPROOF_OK);
  EXPECT_EQ(call.final_state.slice(0, 4, 1).bits(),
            TestTensor(PACKPROOF_F32, {1, 1, keys(8), 8}).bits());

  const TestPacking nothing({}, 3);
  const DeltaRuleCall none =
      DeltaRuleCall::chunked(nothing.view(), 1, nothing.total(), {1, 1, keys(8), 8}, dtype());
  EXPECT_EQ(none.launch().status, PACKPROOF_OK);
  const TestPacking empties({0, 0, 0}, 0);
  const DeltaRuleCall empty =
      DeltaRuleCall::chunked(empties.view(), 1, 0, {1, 1, keys(8), 8}, dtype());
  EXPECT_EQ(empty.launch().status, PACKPROOF_OK);
  EXPECT_EQ(empty.final_state.bits(), empty.initial_state.bits());
}

TEST(ChunkVariants, HaveTheSameBits) {
  std::mt19937 random(5);
  for (int round = 0; round < kRounds / 5; ++round) {
    const TestPacking packing(random_lengths(random), below(random, 3));
    const int32_t dtype = round % 2 == 0 ? PACKPROOF_F16 : PACKPROOF_BF16;
    const DeltaRuleShape shape{1, 1 + below(random, 2), 33 + below(random, 96),
                               1 + below(random, 140)};
    DeltaRuleCall call = DeltaRuleCall::chunked(packing.view(), 1, packing.total(), shape, dtype,
                                                static_cast<uint64_t>(round));
    if (below(random, 3) == 0) call.initial_state = TestTensor();
    std::vector<std::vector<uint64_t>> bits;
    for (const char* variant : {"chunk_gated_delta_rule_fwd_sm90", "chunk_gated_delta_rule_fwd"}) {
      call.variant = variant;
      call.output.fill(DeltaRuleCall::kUntouched);
      const LaunchResult result = call.launch();
      ASSERT_EQ(result.status, PACKPROOF_OK) << result.sentence;
      bits.push_back(call.output.bits());
      bits.push_back(call.final_state.bits());
    }
    ASSERT_EQ(bits[0], bits[2]) << "round " << round;
    ASSERT_EQ(bits[1], bits[3]) << "round " << round;
  }
}

TEST_P(ChunkPacking, ManySequencesAreScheduledWhole) {
  // More sequences than the schedule has threads, of every kind, in no order.
  std::mt19937 random(3);
  std::vector<int64_t> lens(2500);
  for (int64_t& length : lens) {
    const int64_t kind = below(random, 100);
    length = kind < 90 ? kind % 3 : below(random, 90);
  }
  const TestPacking packing(lens, 1);
  const DeltaRuleCall packed =
      DeltaRuleCall::chunked(packing.view(), 1, packing.total(), {1, 1, keys(8), 8}, dtype());
  ASSERT_EQ(packed.launch().status, PACKPROOF_OK);
  for (int64_t n = 0; n < packing.num_seqs(); n += 7) {
    const auto at = static_cast<size_t>(n);
    const DeltaRuleCall alone = packed.part(n, packing.cu[at], lens[at]);
    ASSERT_EQ(alone.launch().status, PACKPROOF_OK);
    ASSERT_EQ(bits_at(alone, 0, 0, lens[at]), bits_at(packed, n, packing.cu[at], lens[at])) << n;
  }
}

}  // namespace
}  // namespace packproof
