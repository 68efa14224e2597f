#include "harness/judge/judge_capture.h"

#include "harness/judge/captured_call_test_support.h"

namespace packproof {
namespace {

using namespace captured;

TEST(JudgeCapture, RightCallsPassInEveryLayoutWithTheirGradients) {
  EXPECT_EQ(outcomes(capture_of({convolution(kLengths, kLengths)})),
            "boundaries PASS, output PASS, gradients PASS");
  for (const bool torch_names : {false, true}) {
    EXPECT_EQ(outcomes(capture_of({delta_rule(kLengths, kLengths, torch_names)})),
              "boundaries PASS, final_state PASS, output PASS, gradients PASS");
  }
  EXPECT_EQ(outcomes(capture_of({sdpa(kLengths, kLengths)})), "boundaries PASS, output PASS");
}

TEST(JudgeCapture, MissingMetadataIsALeakWithItsPlace) {
  const Capture conv = capture_of({convolution({kTokens}, {})});
  EXPECT_EQ(outcomes(conv), "boundaries FAIL, output NOT_RUN, gradients NOT_RUN");
  EXPECT_TRUE(contains(first_detail(conv), "leaks: seq_idx was not given"));
  EXPECT_TRUE(contains(first_detail(conv), "output of sequence 1, token 0")) << first_detail(conv);
  EXPECT_EQ(judged(conv).calls[0].id,
            "causal_conv1d call=0 layer=0 function=causal_conv1d:causal_conv1d_fn");
  const std::string rule = first_detail(capture_of({delta_rule({kTokens}, {})}));
  EXPECT_TRUE(contains(rule, "leaks: cu_seqlens was not given")) << rule;
  EXPECT_TRUE(contains(rule, "sequence 1, token 0")) << rule;
  const std::string attention = first_detail(capture_of({sdpa({kTokens}, {})}));
  EXPECT_TRUE(contains(attention, "leaks: attention_mask was not given")) << attention;
}

TEST(JudgeCapture, ALeakThatTheGatesHideIsStillOne) {
  CapturedCall call = convolution(kLengths, {});
  const std::string detail = first_detail(capture_of({call}));
  EXPECT_TRUE(contains(detail, "in this step the leak stays within the budgets")) << detail;
}

TEST(JudgeCapture, MetadataThatContradictTheBatchAreNamed) {
  const std::string cut = first_detail(capture_of({delta_rule({2, 1, 6}, {2, 1, 6})}));
  EXPECT_TRUE(contains(cut,
                       "the cu_seqlens that it was given says lengths 2,1,6 where "
                       "position_ids of the batch says 2,3,4: sequence 1 is cut"))
      << cut;
  const std::string shared = first_detail(capture_of({convolution({5, 4}, {5, 4})}));
  EXPECT_TRUE(contains(shared, "sequence 1 reads on from sequence 0")) << shared;
}

TEST(JudgeCapture, MetadataThatWereIgnoredAreNamed) {
  const Capture conv = capture_of({convolution({kTokens}, kLengths)});
  EXPECT_EQ(outcomes(conv), "boundaries PASS, output FAIL, gradients FAIL");
  EXPECT_TRUE(contains(first_detail(conv), "accepted seq_idx and ignored it"))
      << first_detail(conv);
  EXPECT_TRUE(contains(first_detail(conv), "sequence 1, token 0")) << first_detail(conv);
}

TEST(JudgeCapture, OtherWrongNumbersAreNoLeak) {
  CapturedCall call = convolution(kLengths, kLengths);
  call.outputs["output"].set(0, call.outputs["output"].at(0) + 1e-3);
  const std::string detail = first_detail(capture_of({call}));
  EXPECT_TRUE(contains(detail, "sequence 0, token 0, element 0")) << detail;
  EXPECT_TRUE(contains(detail, "no missing metadata reproduce it")) << detail;
  CapturedCall weight = convolution(kLengths, kLengths);
  weight.gradients["d_weight"].set(0, weight.gradients["d_weight"].at(0) + 1e-3);
  EXPECT_TRUE(contains(first_detail(capture_of({weight})), "d_weight"));
  CapturedCall gradient = delta_rule(kLengths, kLengths);
  gradient.gradients["d_g"].set(7, gradient.gradients["d_g"].at(7) + 1e-2);
  EXPECT_EQ(outcomes(capture_of({gradient})),
            "boundaries PASS, final_state PASS, output PASS, gradients FAIL");
  EXPECT_TRUE(contains(first_detail(capture_of({gradient})), "d_g of sequence 1, token 1"));
  CapturedCall state = delta_rule(kLengths, kLengths);
  state.outputs["final_state"].set(0, 7.0);
  EXPECT_TRUE(contains(outcomes(capture_of({state})), "final_state FAIL"));
}

TEST(JudgeCapture, LeftPaddingIsNotJudged) {
  // Two rows of 5: one whole, one that begins after a pad. Zero inputs at the pad, as models give.
  TensorMap inputs{{"x", numbers({2, 5, kChannels}, 0.1)},
                   {"weight", numbers({kChannels, kWidth}, 0.7)}};
  for (int64_t c = 0; c < kChannels; ++c) inputs["x"].set(5 * kChannels + c, 0.0);
  const TensorMap right =
      answer(Op::kCausalConv1d, Direction::kForward, inputs, {}, {{"output", {2, 5, kChannels}}});
  CapturedCall call;
  call.op = "causal_conv1d";
  call.function = "causal_conv1d:causal_conv1d_fn";
  call.scalars = {{"activation", "silu"}};
  call.inputs = {{"x", exchanged(inputs.at("x"))}, {"weight", inputs.at("weight")}};
  call.outputs["output"] = exchanged(right.at("output"));
  call.outputs["output"].set(20, 77.0);  // Channel 0 of the pad.
  Capture capture;
  capture.batch["attention_mask"] =
      Tensor::from_ints(DType::kI64, {2, 5}, std::vector<int64_t>{1, 1, 1, 1, 1, 0, 1, 1, 1, 1});
  capture.calls = {call};
  EXPECT_EQ(outcomes(capture), "boundaries PASS, output PASS");
}

TEST(JudgeCapture, WithoutABatchTheMostDetailedCallSaysWhereSequencesBegin) {
  Capture capture = capture_of({convolution({kTokens}, {}), sdpa(kLengths, kLengths)});
  capture.batch.clear();
  const CaptureVerdict verdict = judged(capture);
  EXPECT_TRUE(contains(verdict.notes.at(0), "from the attention_mask that one of the calls"))
      << verdict.notes[0];
  EXPECT_EQ(outcome_of(verdict.calls[0]), OutcomeKind::kFail);
  EXPECT_EQ(outcome_of(verdict.calls[1]), OutcomeKind::kPass);
  capture.calls.pop_back();
  EXPECT_TRUE(contains(judged(capture).notes.at(0), "nothing in the file says"));
}

TEST(JudgeCapture, TheBatchsSourcesAreComparedWithEachOther) {
  Capture capture = capture_of({convolution(kLengths, kLengths)});
  capture.batch["seq_idx"] = ids(kLengths);
  EXPECT_EQ(judged(capture).notes.size(), 1U);
  // One sequence tells nothing apart: the next source is believed.
  capture.batch["cu_seq_lens_q"] = offsets({kTokens});
  EXPECT_TRUE(contains(judged(capture).notes.at(0), "from seq_idx of the batch"));
  capture.batch["cu_seq_lens_q"] = offsets({2, 7});
  EXPECT_TRUE(contains(judged(capture).notes.at(1), "seq_idx of the batch says otherwise"));
  capture.batch["input_ids"] = Tensor(DType::kI64, {1, kTokens});
  capture.batch["seq_idx"] = ids({2, 3});
  EXPECT_EQ(judge_capture(capture, definition(), [](int64_t) {}).error().code, Code::kInvalidInput);
}

TEST(JudgeCapture, WhatCannotBeJudgedSaysWhy) {
  CapturedCall parallel = delta_rule(kLengths, kLengths);
  parallel.scalars["cp_context"] = "object FLACPContext";
  EXPECT_EQ(outcomes(capture_of({parallel})), "call NOT_SUPPORTED");
  EXPECT_TRUE(contains(first_detail(capture_of({parallel})), "'cp_context'"));
  CapturedCall unknown = convolution(kLengths, kLengths);
  unknown.op = "mamba2";
  EXPECT_TRUE(contains(first_detail(capture_of({unknown})), "'mamba2'"));
  Capture other = capture_of({convolution(kLengths, kLengths)});
  other.batch["position_ids"] = Packing::from_lengths({2, 3})->position_ids_tensor();
  EXPECT_TRUE(contains(first_detail(other), "it has 9 rows, the batch has 5"));
  CapturedCall short_output = convolution(kLengths, kLengths);
  short_output.outputs["output"] = numbers({1, kChannels, 2}, 0.1);
  EXPECT_TRUE(
      contains(first_detail(capture_of({short_output})), "expected 'output' of 1 x 9 rows"));
  Capture full = capture_of({});
  full.not_recorded = 4;
  EXPECT_EQ(outcome_of(judged(full).calls.at(0)), OutcomeKind::kNotSupported);
}

}  // namespace
}  // namespace packproof
