#include "kernels/testing/delta_rule_call.h"

#include <cstdint>
#include <string>
#include <vector>

#include <gtest/gtest.h>

// States in a pool that is updated in place. Whatever slots the sequences have, bits are those of the
// same call with initial and final states of its own.

namespace packproof {
namespace {

struct PooledOp {
  const char* variant;
  packproof_op op;
  int32_t dtype;
  int64_t head_k_dim;
};

class StatePool : public testing::TestWithParam<PooledOp> {
 protected:
  // Windows of several sequences, one of several chunks, empty ones first and last, slack.
  const TestPacking packing_{{0, 3, 150, 1, 64, 16, 0}, 2};

  DeltaRuleCall call() const {
    const PooledOp& kind = GetParam();
    DeltaRuleCall call = DeltaRuleCall::random(packing_.view(), 1, packing_.total(),
                                               {1, 2, kind.head_k_dim, 24}, kind.dtype);
    call.op = kind.op;
    call.variant = kind.variant;
    return call;
  }

  /// The same call on a pool, in which every slot that no sequence has holds kUntouched.
  static DeltaRuleCall pooled(DeltaRuleCall call, const std::vector<int32_t>& slots,
                              int64_t num_slots) {
    std::vector<int64_t> shape = call.initial_state.shape();
    shape[0] = num_slots;
    call.state = TestTensor(PACKPROOF_F32, shape);
    call.state.fill(DeltaRuleCall::kUntouched);
    for (size_t n = 0; n < slots.size(); ++n) {
      if (slots[n] >= 0)
        copy_state(call.initial_state, static_cast<int64_t>(n), call.state, slots[n]);
    }
    call.state_indices = TestTensor::i32(slots);
    call.initial_state = TestTensor();
    call.final_state = TestTensor();
    call.output = call.output.slice(1, 0, call.output.shape()[1]);  // memory of its own
    call.output.fill(DeltaRuleCall::kUntouched);
    return call;
  }

  static void copy_state(const TestTensor& from, int64_t n, TestTensor& to, int64_t slot) {
    const std::vector<int64_t>& shape = from.shape();
    for (int64_t head = 0; head < shape[1]; ++head) {
      for (int64_t key = 0; key < shape[2]; ++key) {
        for (int64_t column = 0; column < shape[3]; ++column) {
          to.set({slot, head, key, column}, from.at({n, head, key, column}));
        }
      }
    }
  }

  static LaunchResult launched(const DeltaRuleCall& call) {
    LaunchResult result = call.launch();
    EXPECT_EQ(result.status, PACKPROOF_OK) << result.sentence;
    return result;
  }
};

INSTANTIATE_TEST_SUITE_P(
    Ops, StatePool,
    testing::Values(PooledOp{"recurrent_gated_delta_rule_fwd", PACKPROOF_RECURRENT_GATED_DELTA_RULE,
                             PACKPROOF_F32, 16},
                    PooledOp{"chunk_gated_delta_rule_fwd", PACKPROOF_CHUNK_GATED_DELTA_RULE,
                             PACKPROOF_BF16, 16},
                    PooledOp{"chunk_gated_delta_rule_fwd_sm90", PACKPROOF_CHUNK_GATED_DELTA_RULE,
                             PACKPROOF_F16, 40}),
    [](const auto& op) { return std::string(op.param.variant); });

TEST_P(StatePool, HoldsWhatInitialAndFinalStatesHold) {
  const std::vector<int32_t> slots{8, 2, 0, 5, 1, 7, 3};
  const DeltaRuleCall apart = call();
  launched(apart);
  const DeltaRuleCall pool = pooled(apart, slots, 9);
  launched(pool);
  EXPECT_EQ(pool.output.bits(), apart.output.bits());
  for (size_t n = 0; n < slots.size(); ++n) {
    EXPECT_EQ(pool.state.slice(0, slots[n], 1).bits(),
              apart.final_state.slice(0, static_cast<int64_t>(n), 1).bits())
        << "sequence " << n;
  }
  for (const int64_t unused : {4, 6}) {
    EXPECT_EQ(pool.state.at({unused, 1, 3, 2}), DeltaRuleCall::kUntouched);
  }
}

TEST_P(StatePool, StartsFromZerosAndKeepsNothingWithoutASlot) {
  const std::vector<int32_t> slots{-1, -1, -1, 0, 1, -1, 2};
  DeltaRuleCall from_zeros = call();
  const DeltaRuleCall pool = pooled(from_zeros, slots, 3);
  const std::vector<int64_t>& shape = from_zeros.initial_state.shape();
  const TestTensor zeros(PACKPROOF_F32, {1, shape[1], shape[2], shape[3]});
  for (size_t n = 0; n < slots.size(); ++n) {
    if (slots[n] < 0) copy_state(zeros, 0, from_zeros.initial_state, static_cast<int64_t>(n));
  }
  launched(from_zeros);
  launched(pool);
  EXPECT_EQ(pool.output.bits(), from_zeros.output.bits());
  for (size_t n = 0; n < slots.size(); ++n) {
    if (slots[n] < 0) continue;
    EXPECT_EQ(pool.state.slice(0, slots[n], 1).bits(),
              from_zeros.final_state.slice(0, static_cast<int64_t>(n), 1).bits())
        << "sequence " << n;
  }
}

TEST_P(StatePool, HasASlotForEachSequenceWithoutIndices) {
  const DeltaRuleCall apart = call();
  launched(apart);
  DeltaRuleCall pool = pooled(apart, {0, 1, 2, 3, 4, 5, 6}, 7);
  pool.state_indices = TestTensor();
  launched(pool);
  EXPECT_EQ(pool.output.bits(), apart.output.bits());
  EXPECT_EQ(pool.state.bits(), apart.final_state.bits());
}

TEST_P(StatePool, RefusesWhatContradictsItself) {
  const DeltaRuleCall apart = call();
  const auto sentence = [](const DeltaRuleCall& wrong) {
    const std::vector<uint64_t> before = wrong.output.bits();
    const LaunchResult result = wrong.launch();
    EXPECT_EQ(result.status, PACKPROOF_INVALID_ARGUMENT);
    EXPECT_EQ(wrong.output.bits(), before);
    return result.sentence.substr(result.sentence.find(": ") + 2);
  };
  DeltaRuleCall wrong_slots = pooled(apart, {0, 1, 2, 3, 4, 5, 6}, 9);
  wrong_slots.state_indices = TestTensor::i32({0, 1, 2, 3, 4, 5, 9});
  EXPECT_EQ(sentence(wrong_slots),
            "expected state_indices of -1 or a slot below 9, found 9 at row 6");
  wrong_slots.state_indices = TestTensor::i32({0, 1, 2, 3, 1, -1, -1});
  EXPECT_EQ(sentence(wrong_slots),
            "expected every slot at most once in state_indices, found slot 1 twice");
  DeltaRuleCall both = pooled(apart, {0, 1, 2, 3, 4, 5, 6}, 9);
  both.final_state = apart.final_state;
  EXPECT_EQ(sentence(both), "expected either state or initial_state and final_state, found both");
  DeltaRuleCall no_pool = apart;
  no_pool.state_indices = TestTensor::i32({0, 1, 2, 3, 4, 5, 6});
  EXPECT_EQ(sentence(no_pool), "expected state_indices beside a pool, found them without state");
  DeltaRuleCall few = pooled(apart, {0, 1, 2, 3, -1, -1, -1}, 5);
  few.state_indices = TestTensor();
  EXPECT_EQ(sentence(few),
            "expected a slot for each of the 7 rows without state_indices, found 5 slots");
}

}  // namespace
}  // namespace packproof
