#pragma once

#include "harness/core/packing.h"
#include "harness/judge/judge_capture.h"
#include "harness/run/reference_module.h"

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

/// Calls as a recorder would have written them, made by the reference itself.
namespace packproof::captured {

inline constexpr int64_t kTokens = 9;
inline const std::vector<int64_t> kLengths{2, 3, 4};
inline constexpr int64_t kChannels = 4;
inline constexpr int64_t kWidth = 4;

inline const reference::Reference& definition() {
  static const Result<const reference::Reference*> loaded = load_reference();
  if (!loaded.ok()) ADD_FAILURE() << loaded.error().message;
  return **loaded;
}

inline Tensor numbers(std::vector<int64_t> shape, double phase, double size = 1.0) {
  Tensor tensor(DType::kF32, std::move(shape));
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.set(i, size * std::sin(0.37 * static_cast<double>(i * i % 101) + phase));
  }
  return tensor;
}

inline Tensor offsets(const std::vector<int64_t>& lengths) {
  return Packing::from_lengths(lengths)->cu_seqlens_tensor(DType::kI32);
}

inline Tensor ids(const std::vector<int64_t>& lengths) {
  return Packing::from_lengths(lengths)->seq_idx_tensor();
}

/// [B, T, ..] with the axes 1 and 2 exchanged.
inline Tensor exchanged(const Tensor& tensor) {
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
inline TensorMap answer(Op op, Direction direction, TensorMap inputs,
                        const OpAttributes& attributes,
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

inline TensorMap with(TensorMap map, const std::string& name, Tensor tensor) {
  map[name] = std::move(tensor);
  return map;
}

/// A call of causal_conv1d_fn that computes with the boundaries `used`; `told` is its seq_idx.
inline CapturedCall convolution(const std::vector<int64_t>& used,
                                const std::vector<int64_t>& told) {
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
inline CapturedCall delta_rule(const std::vector<int64_t>& used, const std::vector<int64_t>& told,
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

inline constexpr int64_t kQueryHeads = 4;
inline constexpr int64_t kKeyHeads = 2;
inline constexpr int64_t kDim = 8;

inline TensorMap attention_inputs(const std::vector<int64_t>& used) {
  return {{"q", numbers({1, kTokens, kQueryHeads, kDim}, 0.1)},
          {"k", numbers({1, kTokens, kKeyHeads, kDim}, 0.9)},
          {"v", numbers({1, kTokens, kKeyHeads, kDim}, 2.1)},
          {"cu_seqlens", offsets(used)}};
}

inline Tensor attention_output(const std::vector<int64_t>& used) {
  return answer(Op::kVarlenAttention, Direction::kForward, attention_inputs(used), {},
                {{"output", {1, kTokens, kQueryHeads, kDim}}})
      .at("output");
}

/// sdpa_attention_forward, told by a mask of blocks or by none.
inline CapturedCall sdpa(const std::vector<int64_t>& used, const std::vector<int64_t>& told) {
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

inline Capture capture_of(std::vector<CapturedCall> calls) {
  Capture capture;
  capture.batch["position_ids"] = Packing::from_lengths(kLengths)->position_ids_tensor();
  for (std::size_t i = 0; i < calls.size(); ++i) calls[i].number = static_cast<int64_t>(i);
  capture.calls = std::move(calls);
  return capture;
}

inline CaptureVerdict judged(const Capture& capture) {
  const Result<CaptureVerdict> verdict = judge_capture(capture, definition(), [](int64_t) {});
  if (!verdict.ok()) ADD_FAILURE() << verdict.error().message;
  return verdict.ok() ? *verdict : CaptureVerdict{};
}

/// "boundaries PASS, output PASS" of the only call.
inline std::string outcomes(const Capture& capture) {
  std::string text;
  const CaptureVerdict verdict = judged(capture);
  for (const CheckResult& check : verdict.calls.at(0).checks) {
    text += (text.empty() ? "" : ", ") + check.check + " " + std::string(name_of(check.outcome));
  }
  return text;
}

inline std::string first_detail(const Capture& capture) {
  const CaptureVerdict verdict = judged(capture);
  for (const CheckResult& check : verdict.calls.at(0).checks) {
    if (!check.detail.empty()) return check.detail;
  }
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace packproof::captured
