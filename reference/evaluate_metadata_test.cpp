#include "reference/aten_tensor.h"
#include "reference/delta_rule_test_support.h"
#include "reference/evaluate_test_support.h"
#include "reference/ops.h"

#include <limits>

#include <gtest/gtest.h>

namespace packproof::reference {
namespace {

using testing::delta_call;
using testing::evaluated;
using testing::make_call;
using testing::normal;
using testing::refusal;

TEST(Evaluate, ConvolutionFollowsIdsByEquality) {  // spec 6.3
  // Tokens of id 1 reconnect over one row of id 0 when the taps reach; id -1 is zero despite a bias.
  const std::vector<double> x{1, 10, 100, 1000};
  const std::vector<double> ones{1, 1, 1};
  const std::vector<double> bias{0.5};
  TensorMap inputs{
      {"x", Tensor::from_doubles(DType::kF64, {1, 4, 1}, x)},
      {"weight", Tensor::from_doubles(DType::kF64, {1, 3}, ones)},
      {"bias", Tensor::from_doubles(DType::kF64, {1}, bias)},
      {"seq_idx", Tensor::from_ints(DType::kI32, {1, 4}, std::vector<int64_t>{1, 0, 1, -1})}};
  OpCall call = make_call(Op::kCausalConv1d, Direction::kForward, inputs, {{"output", {1, 4, 1}}});
  call.attributes.activation = Activation::kNone;
  const Tensor output = evaluated(call).outputs.at("output");
  const std::vector<double> expected{1.5, 10.5, 101.5, 0.0};
  for (int64_t i = 0; i < 4; ++i) EXPECT_EQ(output.at(i), expected[static_cast<std::size_t>(i)]);
}

TEST(Evaluate, ReadsNothingFromRowsThatBelongToNoSequence) {
  for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
    const OpCall clean = delta_call(direction);
    OpCall dirty = clean;
    for (const char* name : {"q", "k", "v", "a", "beta", "d_output"}) {
      if (!dirty.has(name)) continue;
      Tensor& tensor = dirty.inputs[name];
      for (int64_t i = tensor.numel() / 6 * 5; i < tensor.numel(); ++i) {
        tensor.set(i, std::numeric_limits<double>::quiet_NaN());
      }
    }
    const OpResult expected = evaluated(clean);
    const OpResult got = evaluated(dirty);
    for (const auto& [name, values] : expected.outputs) {
      for (int64_t i = 0; i < values.numel(); ++i) {
        EXPECT_EQ(values.at(i), got.outputs.at(name).at(i)) << name;
        EXPECT_EQ(expected.float32_bounds.at(name).at(i), got.float32_bounds.at(name).at(i))
            << name;
      }
    }
  }
}

TEST(Evaluate, UpdatesStepTheNamedSlotsAndLeaveTheOthers) {
  const Tensor indices = Tensor::from_ints(DType::kI32, {3}, std::vector<int64_t>{2, -1, 0});
  const Tensor pool = normal("pool", {4, 2, 4, 3});
  TensorMap inputs{{"q", normal("q", {3, 1, 4})}, {"k", normal("k", {3, 1, 4})},
                   {"v", normal("v", {3, 2, 3})}, {"g", normal("g", {3, 2}, 0.1)},
                   {"beta", normal("b", {3, 2})}, {"state", pool},
                   {"state_indices", indices}};
  const OpResult got =
      evaluated(make_call(Op::kRecurrentGatedDeltaRuleUpdate, Direction::kForward, inputs,
                          {{"output", {3, 2, 3}}, {"state", {4, 2, 4, 3}}}));
  const at::Tensor slots = to_aten(pool).index_select(0, at::tensor({2, 0}, at::kLong));
  const auto rows = [&](const char* name) {
    return to_aten(inputs[name]).index_select(0, at::tensor({0, 2}, at::kLong)).unsqueeze(1);
  };
  const DeltaResult expected = recurrent_gated_delta_rule(
      rows("q"), rows("k"), rows("v"), rows("g"), rows("beta"), slots, {}, 0.0, true);
  const at::Tensor output = to_aten(got.outputs.at("output"));
  const at::Tensor state = to_aten(got.outputs.at("state"));
  EXPECT_LT(testing::relative_distance(output[2], expected.output[1][0]), 1e-14);
  EXPECT_LT(testing::relative_distance(state[2], expected.final_state[0]), 1e-14);
  EXPECT_EQ(output[1].abs().max().item<double>(), 0.0);
  for (const int64_t untouched : {1, 3}) {
    EXPECT_TRUE(at::equal(state[untouched], to_aten(pool)[untouched]));
    EXPECT_EQ(to_aten(got.float32_bounds.at("state"))[untouched].max().item<double>(), 0.0);
  }

  const Tensor conv_pool = normal("conv pool", {4, 2, 3});
  const TensorMap conv_inputs{{"x", normal("x", {3, 2})},
                              {"weight", normal("w", {2, 4})},
                              {"conv_state", conv_pool},
                              {"state_indices", indices}};
  const OpResult conv =
      evaluated(make_call(Op::kCausalConv1dUpdate, Direction::kForward, conv_inputs,
                          {{"output", {3, 2}}, {"conv_state", {4, 2, 3}}}));
  const ConvResult step = causal_conv1d(to_aten(conv_inputs.at("x"))[2].view({1, 1, 2}),
                                        to_aten(conv_inputs.at("weight")), std::nullopt,
                                        to_aten(conv_pool).slice(0, 0, 1), {}, true);
  EXPECT_TRUE(at::equal(to_aten(conv.outputs.at("output"))[2], step.output[0][0]));
  EXPECT_TRUE(at::equal(to_aten(conv.outputs.at("conv_state"))[0], step.final_state[0]));
  EXPECT_EQ(to_aten(conv.outputs.at("output"))[1].abs().max().item<double>(), 0.0);
  EXPECT_TRUE(at::equal(to_aten(conv.outputs.at("conv_state"))[1], to_aten(conv_pool)[1]));
}

TEST(Evaluate, WholeSequencesFindAndLeaveTheirStatesInAPool) {
  for (const Op op : {Op::kRecurrentGatedDeltaRule, Op::kChunkGatedDeltaRule}) {
    OpCall apart = delta_call(Direction::kForward);
    apart.op = op;
    Tensor zeros_first = normal("initial", {2, 2, 4, 3});
    for (int64_t i = 0; i < 24; ++i) zeros_first.set(i, 0.0);
    apart.inputs["initial_state"] = zeros_first;
    const OpResult expected = evaluated(apart);

    OpCall call = apart;
    call.inputs.erase("initial_state");
    call.outputs.erase("final_state");
    Tensor pool = normal("pool", {3, 2, 4, 3});
    for (int64_t i = 0; i < 24; ++i) pool.set(24 + i, zeros_first.at(24 + i));
    pool.set(0, std::numeric_limits<double>::quiet_NaN());  // A slot that no sequence has.
    call.inputs["state"] = pool;
    call.inputs["state_indices"] = Tensor::from_ints(DType::kI32, {2}, std::vector<int64_t>{-1, 1});
    call.outputs["state"] = {DType::kF32, {3, 2, 4, 3}, {}};
    const OpResult got = evaluated(call);
    for (int64_t i = 0; i < expected.outputs.at("output").numel(); ++i) {
      EXPECT_EQ(got.outputs.at("output").at(i), expected.outputs.at("output").at(i));
    }
    for (int64_t i = 0; i < 24; ++i) {
      EXPECT_EQ(got.outputs.at("state").at(24 + i), expected.outputs.at("final_state").at(24 + i));
      EXPECT_EQ(got.float32_bounds.at("state").at(24 + i),
                expected.float32_bounds.at("final_state").at(24 + i));
      EXPECT_EQ(got.outputs.at("state").at(48 + i), pool.at(48 + i));
      EXPECT_EQ(got.float32_bounds.at("state").at(48 + i), 0.0);
    }
    call.inputs["initial_state"] = zeros_first;
    EXPECT_NE(refusal(call).find("expected either 'state' or 'initial_state' and 'final_state'"),
              std::string::npos);
  }
}

TEST(Evaluate, RefusesWhatContradictsTheOpByName) {
  OpCall call = delta_call(Direction::kForward);
  call.inputs["v"].set(7, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(refusal(call),
            "recurrent_gated_delta_rule fwd: expected finite values in 'v', found NaN at "
            "[0, 1, 0, 1]");

  call = delta_call(Direction::kForward);
  call.inputs["g"] = Tensor(DType::kF32, {1, 6, 2});
  EXPECT_NE(refusal(call).find("either 'g' or 'a'"), std::string::npos);

  call = delta_call(Direction::kForward);
  call.inputs["k"] = Tensor(DType::kF32, {1, 6, 1, 5});
  EXPECT_NE(refusal(call).find("expected 'k' of shape [1, 6, 1, 4], found [1, 6, 1, 5]"),
            std::string::npos);

  call = delta_call(Direction::kForward);
  call.inputs["cu_seqlens"] = Tensor::from_ints(DType::kI32, {3}, std::vector<int64_t>{0, 2, 7});
  EXPECT_NE(refusal(call).find("cu_seqlens"), std::string::npos);

  call = delta_call(Direction::kForward);
  call.outputs["final_state"].shape = {3, 2, 4, 3};
  EXPECT_NE(refusal(call).find("expected an output 'final_state' of shape [2, 2, 4, 3]"),
            std::string::npos);

  call = delta_call(Direction::kForward);
  call.inputs["z"] = Tensor(DType::kF32, {1});
  EXPECT_NE(refusal(call).find("'z', which it does not have"), std::string::npos);

  call = delta_call(Direction::kForward);
  call.inputs.erase("beta");
  EXPECT_NE(refusal(call).find("expected an input 'beta', found none"), std::string::npos);

  call = make_call(
      Op::kCausalConv1dUpdate, Direction::kForward,
      {{"x", normal("x", {2, 3})},
       {"weight", normal("w", {3, 4})},
       {"conv_state", normal("pool", {2, 3, 3})},
       {"state_indices", Tensor::from_ints(DType::kI32, {2}, std::vector<int64_t>{1, 1})}},
      {{"output", {2, 3}}});
  EXPECT_NE(refusal(call).find("found slot 1 again at sequence 1"), std::string::npos);
  call.inputs["state_indices"] = Tensor::from_ints(DType::kI32, {2}, std::vector<int64_t>{0, 2});
  EXPECT_NE(refusal(call).find("expected a slot from -1 to 1 for sequence 1, found 2"),
            std::string::npos);

  call = delta_call(Direction::kForward);
  call.op = Op::kChunkGatedDeltaRule;
  call.attributes.chunk_size = 0;
  EXPECT_NE(refusal(call).find("expected a chunk_size of at least 1, found 0"), std::string::npos);
}

/// More values than one thread reads: what is found must not depend on which thread finds it.
TEST(Evaluate, NamesTheFirstOfSeveralNaNsInALargeInput) {
  constexpr int64_t kTokens = 2000;
  OpCall call = make_call(
      Op::kRecurrentGatedDeltaRule, Direction::kForward,
      {{"q", normal("q", {1, kTokens, 1, 128})},
       {"k", normal("k", {1, kTokens, 1, 128})},
       {"v", normal("v", {1, kTokens, 1, 128})},
       {"g", Tensor(DType::kF32, {1, kTokens, 1})},
       {"beta", Tensor(DType::kF32, {1, kTokens, 1})},
       {"cu_seqlens", Tensor::from_ints(DType::kI32, {2}, std::vector<int64_t>{0, kTokens - 100})}},
      {{"output", {1, kTokens, 1, 128}}});
  call.attributes.qk_l2norm = true;
  Tensor& k = call.inputs["k"];
  for (int64_t token = kTokens - 100; token < kTokens; ++token) {
    k.set(token * 128, std::numeric_limits<double>::infinity());
  }
  EXPECT_EQ(refusal(call), "accepted");
  k.set(1800 * 128 + 3, std::numeric_limits<double>::infinity());
  k.set(700 * 128 + 5, std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(refusal(call),
            "recurrent_gated_delta_rule fwd: expected finite values in 'k', found NaN at "
            "[0, 700, 0, 5]");
}

}  // namespace
}  // namespace packproof::reference
