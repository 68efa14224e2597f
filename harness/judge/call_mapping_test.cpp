#include "harness/judge/call_mapping.h"

#include "harness/judge/captured_call_test_support.h"
#include "harness/judge/judge_call.h"

namespace packproof {
namespace {

using namespace captured;

TEST(CallMapping, FlasConvolutionKeepsOneColumnMore) {
  constexpr int64_t kStates = 4;
  const std::vector<int64_t> lengths{2, 0, 3, 4};
  const TensorMap inputs{{"x", numbers({1, kTokens, kChannels}, 0.1)},
                         {"weight", numbers({kChannels, kWidth}, 0.7)},
                         {"initial_state", numbers({kStates, kChannels, kWidth - 1}, 1.9)},
                         {"cu_seqlens", offsets(lengths)}};
  const TensorMap right = answer(
      Op::kCausalConv1d, Direction::kForward, inputs, {.activation = Activation::kNone},
      {{"output", {1, kTokens, kChannels}}, {"final_state", {kStates, kChannels, kWidth - 1}}});
  CapturedCall call;
  call.op = "causal_conv1d";
  call.function = "fla.modules.causal_conv1d:causal_conv1d";
  call.scalars = {{"activation", "none"}, {"output_final_state", "1"}};
  call.inputs = inputs;
  const auto with_a_column = [](const Tensor& narrow) {
    Tensor state(DType::kF32, {kStates, kChannels, kWidth});
    for (int64_t row = 0; row < kStates * kChannels; ++row) {
      for (int64_t column = 0; column < kWidth - 1; ++column) {
        state.set(row * kWidth + column + 1, narrow.at(row * (kWidth - 1) + column));
      }
    }
    return state;
  };
  call.inputs["initial_state"] = with_a_column(inputs.at("initial_state"));
  call.outputs = {{"output", right.at("output")},
                  {"final_state", with_a_column(right.at("final_state"))}};
  EXPECT_EQ(outcomes(capture_of({call})), "boundaries PASS, final_state PASS, output PASS");
  call.outputs["final_state"].set(kWidth - 1, 9.0);
  EXPECT_TRUE(contains(outcomes(capture_of({call})), "final_state FAIL"));
}

TEST(CallMapping, FlashAttentionIsPackedTwice) {
  const TensorMap inputs = attention_inputs(kLengths);
  CapturedCall call;
  call.op = "varlen_attention";
  call.function = "flash_attn:flash_attn_varlen_func";
  call.scalars = {
      {"causal", "1"}, {"softmax_scale", "none"}, {"dropout_p", "0"}, {"window_size", "-1,-1"}};
  const auto flat = [](const Tensor& tensor) {
    return tensor.reshaped({tensor.dim(1), tensor.dim(2), tensor.dim(3)});
  };
  for (const char* name : {"q", "k", "v"}) call.inputs[name] = flat(inputs.at(name));
  call.inputs["cu_seqlens_q"] = call.inputs["cu_seqlens_k"] = offsets(kLengths);
  call.outputs["output"] = flat(attention_output(kLengths));
  EXPECT_EQ(outcomes(capture_of({call})), "boundaries PASS, output PASS");
  call.scalars["causal"] = "0";
  EXPECT_EQ(outcomes(capture_of({call})), "call NOT_SUPPORTED");
}

TEST(CallMapping, KeysOfACacheAndOfOtherSequencesAreNotJudged) {
  CapturedCall cached = sdpa(kLengths, kLengths);
  cached.inputs["key"] = numbers({1, kKeyHeads, kTokens + 2, kDim}, 0.5);
  cached.inputs["value"] = numbers({1, kKeyHeads, kTokens + 2, kDim}, 0.5);
  EXPECT_TRUE(contains(first_detail(capture_of({cached})), "11 keys of a cache for 9 queries"));
  CapturedCall flash;
  flash.op = "varlen_attention";
  flash.function = "flash_attn:flash_attn_varlen_func";
  flash.scalars = {{"causal", "1"}, {"window_size", "-1,-1"}};
  for (const char* name : {"q", "k", "v"}) {
    flash.inputs[name] = numbers({kTokens, kKeyHeads, kDim}, 0.5);
  }
  flash.outputs["output"] = numbers({kTokens, kKeyHeads, kDim}, 0.5);
  flash.inputs["cu_seqlens_q"] = offsets(kLengths);
  flash.inputs["cu_seqlens_k"] = offsets({4, 5});
  EXPECT_TRUE(contains(first_detail(capture_of({flash})), "found different ones"));
  flash.inputs["cu_seqlens_k"] = offsets(kLengths);
  flash.scalars["window_size"] = "4,0";
  EXPECT_TRUE(contains(first_detail(capture_of({flash})), "knows no window"));
}

TEST(CallMapping, TheGateMayBeMadeInTheKernelAndStatesBeTransposed) {
  constexpr int64_t kHeads = 2;
  constexpr int64_t kSize = 8;
  const std::vector<int64_t> rows{1, kTokens, kHeads, kSize};
  const std::vector<int64_t> states{3, kHeads, kSize, kSize};
  CapturedCall call = delta_rule(kLengths, kLengths);
  const TensorMap inputs{{"q", call.inputs["q"]},
                         {"k", call.inputs["k"]},
                         {"v", call.inputs["v"]},
                         {"beta", call.inputs["beta"]},
                         {"a", numbers({1, kTokens, kHeads}, 0.3)},
                         {"A_log", numbers({kHeads}, 0.6)},
                         {"dt_bias", numbers({kHeads}, 0.8)},
                         {"initial_state", numbers(states, 0.9)},
                         {"cu_seqlens", offsets(kLengths)}};
  const Tensor d_state = numbers(states, 1.1);
  // Without normalisation, the scale keeps scores of order 1.
  const OpAttributes attributes{.scale = 0.0625, .qk_l2norm = false};
  const TensorMap forward = answer(Op::kChunkGatedDeltaRule, Direction::kForward, inputs,
                                   attributes, {{"output", rows}, {"final_state", states}});
  // Only the final state was used: nothing arrives at the output.
  const TensorMap backward =
      answer(Op::kChunkGatedDeltaRule, Direction::kBackward,
             with(with(inputs, "d_output", Tensor(DType::kF32, rows)), "d_final_state", d_state),
             attributes,
             {{"d_A_log", {kHeads}}, {"d_a", {1, kTokens, kHeads}}, {"d_initial_state", states}});
  const auto turned = [&](const Tensor& state) {
    return exchanged(state.reshaped({3 * kHeads, kSize, kSize})).reshaped(states);
  };
  call.scalars["use_qk_l2norm_in_kernel"] = "0";
  call.scalars["scale"] = "0.0625";
  call.scalars["use_gate_in_kernel"] = "1";
  call.scalars["state_v_first"] = "1";
  call.inputs["g"] = inputs.at("a");
  call.inputs["A_log"] = inputs.at("A_log");
  call.inputs["dt_bias"] = inputs.at("dt_bias");
  call.inputs["initial_state"] = turned(inputs.at("initial_state"));
  call.outputs = {{"output", forward.at("output")},
                  {"final_state", turned(forward.at("final_state"))}};
  call.gradients = {{"d_A_log", backward.at("d_A_log")},
                    {"d_g", backward.at("d_a")},
                    {"d_initial_state", turned(backward.at("d_initial_state"))},
                    {"d_final_state", turned(d_state)}};
  EXPECT_EQ(outcomes(capture_of({call})),
            "boundaries PASS, final_state PASS, output PASS, gradients PASS");
  call.gradients["d_g"].set(0, call.gradients["d_g"].at(0) + 0.1);
  EXPECT_TRUE(contains(first_detail(capture_of({call})), "d_a of sequence 0, token 0"));
}

TEST(CallMapping, EachDirectionHasItsRoundoff) {
  const Capture capture = capture_of({convolution(kLengths, kLengths)});
  MappedCall call = *map_call(capture.calls[0]);
  const Sequences truth = *sequences_of_offsets(offsets(kLengths), kTokens);
  for (Tensor* tensor : {&call.outputs["output"], &call.gradients["d_x"]}) {
    for (int64_t i = 0; i < tensor->numel(); ++i) {
      tensor->set(i, tensor->at(i) * (1.0 + 8.0 * unit_roundoff(DType::kF16)));
    }
  }
  const auto failing = [&](double forward, double backward) {
    call.forward_roundoff = forward;
    call.backward_roundoff = backward;
    std::string names;
    for (const CheckResult& check : judge_call(call, truth, definition())) {
      if (check.outcome == OutcomeKind::kFail) names += check.check + " ";
    }
    return names;
  };
  // 2^-6 is 32 roundoffs of f16: more than the errors above, whatever the sums hide.
  EXPECT_EQ(failing(0x1p-24, 0x1p-24), "output gradients ");
  EXPECT_EQ(failing(0x1p-6, 0x1p-24), "gradients ");
  EXPECT_EQ(failing(0x1p-24, 0x1p-6), "output ");
}

TEST(CallMapping, NarrowOutputsOfWideInputsAreAutocasts) {
  CapturedCall call = sdpa(kLengths, kLengths);
  // Three of bf16's roundoffs: more than one rounding of the output.
  Tensor rounded = call.outputs["output"];
  for (int64_t i = 0; i < rounded.numel(); ++i) {
    rounded.set(i, rounded.at(i) * (1.0 + 3.0 * unit_roundoff(DType::kBF16)));
  }
  call.outputs["output"] = rounded.to(DType::kBF16);
  const Capture capture = capture_of({call});
  EXPECT_EQ(outcomes(capture), "boundaries PASS, output PASS");
  EXPECT_TRUE(contains(judged(capture).notes.at(1), "autocast")) << judged(capture).notes[1];
}

}  // namespace
}  // namespace packproof
