#include "harness/judge/judge_capture.h"

#include "harness/core/packing.h"
#include "harness/run/reference_module.h"

#include <cmath>
#include <string>
#include <utility>

#include <gtest/gtest.h>

namespace packproof {
namespace {

constexpr int64_t kTokens = 9;
const std::vector<int64_t> kLengths{2, 3, 4};
constexpr int64_t kChannels = 4;
constexpr int64_t kWidth = 4;

const reference::Reference& definition() {
  static const Result<const reference::Reference*> loaded = load_reference();
  if (!loaded.ok()) ADD_FAILURE() << loaded.error().message;
  return **loaded;
}

Tensor numbers(std::vector<int64_t> shape, double phase, double size = 1.0) {
  Tensor tensor(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.set(i, size * std::sin(0.37 * static_cast<double>(i * i % 101) + phase));
  }
  return tensor;
}

Tensor offsets(const std::vector<int64_t>& lengths) {
  return Packing::from_lengths(lengths)->cu_seqlens_tensor(DType::kI32);
}

Tensor ids(const std::vector<int64_t>& lengths) {
  return Packing::from_lengths(lengths)->seq_idx_tensor();
}

/// [B, T, ..] with the axes 1 and 2 exchanged.
Tensor exchanged(const Tensor& tensor) {
  std::vector<int64_t> shape = tensor.shape();
  std::swap(shape[1], shape[2]);
  int64_t inner = 1;
  for (std::size_t axis = 3; axis < shape.size(); ++axis) inner *= shape[axis];
  Tensor result(tensor.dtype(), shape);
  for (int64_t b = 0; b < shape[0]; ++b) {
    for (int64_t i = 0; i < shape[1]; ++i) {
      for (int64_t j = 0; j < shape[2]; ++j) {
        for (int64_t e = 0; e < inner; ++e) {
          result.set(((b * shape[1] + i) * shape[2] + j) * inner + e,
                     tensor.at(((b * shape[2] + j) * shape[1] + i) * inner + e));
        }
      }
    }
  }
  return result;
}

/// What a right kernel gives for these inputs, rounded to float32.
TensorMap answer(Op op, Direction direction, TensorMap inputs, const OpAttributes& attributes,
                 const std::map<std::string, std::vector<int64_t>>& outputs) {
  OpCall call;
  call.op = op;
  call.direction = direction;
  call.attributes = attributes;
  call.inputs = std::move(inputs);
  for (const auto& [name, shape] : outputs) call.outputs[name] = {DType::kF32, shape, {}};
  const Result<reference::OpResult> result = definition().evaluate(call);
  if (!result.ok()) {
    ADD_FAILURE() << result.error().message;
    return {};
  }
  TensorMap rounded;
  for (const auto& [name, tensor] : result->outputs) rounded[name] = tensor.to(DType::kF32);
  return rounded;
}

TensorMap with(TensorMap map, const std::string& name, Tensor tensor) {
  map[name] = std::move(tensor);
  return map;
}

/// A call of causal_conv1d_fn that computes with the boundaries `used`; `told` is its seq_idx.
CapturedCall convolution(const std::vector<int64_t>& used, const std::vector<int64_t>& told) {
  const TensorMap inputs{{"x", numbers({1, kTokens, kChannels}, 0.1)},
                         {"weight", numbers({kChannels, kWidth}, 0.7)},
                         {"cu_seqlens", offsets(used)}};
  const Tensor d_output = numbers({1, kTokens, kChannels}, 1.3);
  const TensorMap forward = answer(Op::kCausalConv1d, Direction::kForward, inputs, {},
                                   {{"output", {1, kTokens, kChannels}}});
  const TensorMap backward =
      answer(Op::kCausalConv1d, Direction::kBackward, with(inputs, "d_output", d_output), {},
             {{"d_x", {1, kTokens, kChannels}}, {"d_weight", {kChannels, kWidth}}});
  CapturedCall call;
  call.op = "causal_conv1d";
  call.function = "causal_conv1d:causal_conv1d_fn";
  call.layer = 0;
  call.scalars = {{"activation", "silu"}, {"bias", "none"}};
  call.inputs = {{"x", exchanged(inputs.at("x"))}, {"weight", inputs.at("weight")}};
  if (!told.empty()) call.inputs["seq_idx"] = ids(told);
  call.outputs["output"] = exchanged(forward.at("output"));
  call.gradients = {{"d_x", exchanged(backward.at("d_x"))},
                    {"d_weight", backward.at("d_weight")},
                    {"d_output", exchanged(d_output)}};
  return call;
}

/// A call of FLA's chunked rule, or of transformers' torch code for it, with final states.
CapturedCall delta_rule(const std::vector<int64_t>& used, const std::vector<int64_t>& told,
                        bool torch_names = false) {
  constexpr int64_t kHeads = 2;
  constexpr int64_t kSize = 8;
  const auto states = static_cast<int64_t>(used.size());
  const std::vector<int64_t> rows{1, kTokens, kHeads, kSize};
  Tensor g = numbers({1, kTokens, kHeads}, 0.2, 0.05);
  Tensor beta = numbers({1, kTokens, kHeads}, 0.4, 0.4);
  for (int64_t i = 0; i < g.numel(); ++i) {
    g.set(i, g.at(i) - 0.05);
    beta.set(i, beta.at(i) + 0.5);
  }
  const TensorMap inputs{{"q", numbers(rows, 0.1)},
                         {"k", numbers(rows, 0.9)},
                         {"v", numbers(rows, 2.1)},
                         {"g", g},
                         {"beta", beta},
                         {"cu_seqlens", offsets(used)}};
  const Tensor d_output = numbers(rows, 1.3);
  const TensorMap forward =
      answer(Op::kChunkGatedDeltaRule, Direction::kForward, inputs, {},
             {{"output", rows}, {"final_state", {states, kHeads, kSize, kSize}}});
  const TensorMap backward =
      answer(Op::kChunkGatedDeltaRule, Direction::kBackward, with(inputs, "d_output", d_output), {},
             {{"d_q", rows}, {"d_g", {1, kTokens, kHeads}}});
  CapturedCall call;
  call.op = "chunk_gated_delta_rule";
  call.function = torch_names ? "transformers.models.qwen3_5.modeling_qwen3_5:torch_chunk"
                              : "fla.ops.gated_delta_rule.chunk:chunk_gated_delta_rule";
  call.scalars = {{"use_qk_l2norm_in_kernel", "1"}, {"scale", "none"}};
  call.inputs = {{torch_names ? "query" : "q", inputs.at("q")},
                 {torch_names ? "key" : "k", inputs.at("k")},
                 {torch_names ? "value" : "v", inputs.at("v")},
                 {"g", g},
                 {"beta", beta}};
  if (!told.empty()) call.inputs["cu_seqlens"] = offsets(told);
  call.outputs = forward;
  call.gradients = {{torch_names ? "d_query" : "d_q", backward.at("d_q")},
                    {"d_g", backward.at("d_g")},
                    {"d_output", d_output}};
  return call;
}

constexpr int64_t kQueryHeads = 4;
constexpr int64_t kKeyHeads = 2;
constexpr int64_t kDim = 8;

TensorMap attention_inputs(const std::vector<int64_t>& used) {
  return {{"q", numbers({1, kTokens, kQueryHeads, kDim}, 0.1)},
          {"k", numbers({1, kTokens, kKeyHeads, kDim}, 0.9)},
          {"v", numbers({1, kTokens, kKeyHeads, kDim}, 2.1)},
          {"cu_seqlens", offsets(used)}};
}

Tensor attention_output(const std::vector<int64_t>& used) {
  return answer(Op::kVarlenAttention, Direction::kForward, attention_inputs(used), {},
                {{"output", {1, kTokens, kQueryHeads, kDim}}})
      .at("output");
}

/// sdpa_attention_forward, told by a mask of blocks or by none.
CapturedCall sdpa(const std::vector<int64_t>& used, const std::vector<int64_t>& told) {
  const TensorMap inputs = attention_inputs(used);
  CapturedCall call;
  call.op = "varlen_attention";
  call.function = "transformers.integrations.sdpa_attention:sdpa_attention_forward";
  call.scalars = {{"scaling", "0.35355339059327373"}, {"dropout", "0"}, {"is_causal", "none"}};
  call.inputs = {{"query", exchanged(inputs.at("q"))},
                 {"key", exchanged(inputs.at("k"))},
                 {"value", exchanged(inputs.at("v"))}};
  if (!told.empty()) {
    const Tensor rows = ids(told);
    Tensor mask(DType::kI32, {1, 1, kTokens, kTokens});
    for (int64_t t = 0; t < kTokens; ++t) {
      for (int64_t s = 0; s <= t; ++s) {
        mask.set_int(t * kTokens + s, rows.int_at(t) == rows.int_at(s) ? 1 : 0);
      }
    }
    call.inputs["attention_mask"] = std::move(mask);
  }
  call.outputs["output"] = attention_output(used);
  return call;
}

Capture capture_of(std::vector<CapturedCall> calls) {
  Capture capture;
  capture.batch["position_ids"] = Packing::from_lengths(kLengths)->position_ids_tensor();
  for (std::size_t i = 0; i < calls.size(); ++i) calls[i].number = static_cast<int64_t>(i);
  capture.calls = std::move(calls);
  return capture;
}

CaptureVerdict judged(const Capture& capture) {
  const Result<CaptureVerdict> verdict = judge_capture(capture, definition(), [](int64_t) {});
  if (!verdict.ok()) ADD_FAILURE() << verdict.error().message;
  return verdict.ok() ? *verdict : CaptureVerdict{};
}

/// "boundaries PASS, output PASS" of the only call.
std::string outcomes(const Capture& capture) {
  std::string text;
  const CaptureVerdict verdict = judged(capture);
  for (const CheckResult& check : verdict.calls.at(0).checks) {
    text += (text.empty() ? "" : ", ") + check.check + " " + std::string(name_of(check.outcome));
  }
  return text;
}

std::string first_detail(const Capture& capture) {
  const CaptureVerdict verdict = judged(capture);
  for (const CheckResult& check : verdict.calls.at(0).checks) {
    if (!check.detail.empty()) return check.detail;
  }
  return {};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

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
  CapturedCall gradient = delta_rule(kLengths, kLengths);
  gradient.gradients["d_g"].set(7, gradient.gradients["d_g"].at(7) + 1e-2);
  EXPECT_EQ(outcomes(capture_of({gradient})),
            "boundaries PASS, final_state PASS, output PASS, gradients FAIL");
  EXPECT_TRUE(contains(first_detail(capture_of({gradient})), "d_g of sequence 1, token 1"));
  CapturedCall state = delta_rule(kLengths, kLengths);
  state.outputs["final_state"].set(0, 7.0);
  EXPECT_TRUE(contains(outcomes(capture_of({state})), "final_state FAIL"));
}

TEST(JudgeCapture, FlasConvolutionKeepsOneColumnMore) {
  constexpr int64_t kStates = 4;
  const std::vector<int64_t> lengths{2, 0, 3, 4};
  const TensorMap inputs{{"x", numbers({1, kTokens, kChannels}, 0.1)},
                         {"weight", numbers({kChannels, kWidth}, 0.7)},
                         {"cu_seqlens", offsets(lengths)}};
  const TensorMap right = answer(
      Op::kCausalConv1d, Direction::kForward, inputs, {.activation = Activation::kNone},
      {{"output", {1, kTokens, kChannels}}, {"final_state", {kStates, kChannels, kWidth - 1}}});
  CapturedCall call;
  call.op = "causal_conv1d";
  call.function = "fla.modules.causal_conv1d:causal_conv1d";
  call.scalars = {{"activation", "none"}, {"output_final_state", "1"}};
  call.inputs = inputs;
  Tensor state(DType::kF32, {kStates, kChannels, kWidth});
  for (int64_t row = 0; row < kStates * kChannels; ++row) {
    for (int64_t column = 0; column < kWidth - 1; ++column) {
      state.set(row * kWidth + column + 1, right.at("final_state").at(row * (kWidth - 1) + column));
    }
  }
  call.outputs = {{"output", right.at("output")}, {"final_state", state}};
  EXPECT_EQ(outcomes(capture_of({call})), "boundaries PASS, final_state PASS, output PASS");
  call.outputs["final_state"].set(kWidth - 1, 9.0);
  EXPECT_TRUE(contains(outcomes(capture_of({call})), "final_state FAIL"));
}

TEST(JudgeCapture, FlashAttentionIsPackedTwice) {
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
  capture.batch["cu_seq_lens_q"] = offsets({2, 7});
  EXPECT_TRUE(contains(judged(capture).notes.at(1), "seq_idx of the batch says otherwise"));
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
  Capture full = capture_of({});
  full.not_recorded = 4;
  EXPECT_EQ(outcome_of(judged(full).calls.at(0)), OutcomeKind::kNotSupported);
}

}  // namespace
}  // namespace packproof
