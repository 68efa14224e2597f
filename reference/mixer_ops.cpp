#include "reference/mixer_ops.h"

#include "harness/core/packing.h"
#include "reference/aten_tensor.h"
#include "reference/causal_conv1d_fast.h"
#include "reference/delta_rule_tensors.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>

namespace packproof::reference {
namespace {

bool is_update(const TokenLayout& layout) { return layout.past > 0 && layout.length == 1; }

std::optional<at::Tensor> when_defined(const at::Tensor& tensor) {
  return tensor.defined() ? std::optional(tensor) : std::nullopt;
}

void describe_packing(const TokenLayout& layout, bool with_seq_idx, OpCall& call) {
  if (!layout.packed()) {
    call.attributes.max_seqlen = layout.length;
    return;
  }
  // The layout was built from boundaries that Packing accepted.
  const Packing packing = *Packing::from_cu_seqlens(layout.cu_seqlens, layout.length);
  call.attributes.max_seqlen = packing.max_seqlen();
  call.inputs["cu_seqlens"] = packing.cu_seqlens_tensor(DType::kI32);
  if (with_seq_idx) call.inputs["seq_idx"] = packing.seq_idx_tensor();
}

at::Tensor drop_time(const at::Tensor& x) { return x.squeeze(1); }

}  // namespace

TensorMap MixerOps::ask(int64_t layer, OpCall call, TensorMap expected) const {
  for (const auto& [name, tensor] : expected) {
    call.outputs[name] = {DType::kF64, tensor.shape(), {}};
  }
  const OpSite site{layer, std::move(call), std::move(expected)};
  Result<TensorMap> answer = (*hook_)(site);
  if (!answer) throw HookFailure{answer.error()};
  for (const auto& [name, tensor] : site.expected) {
    const auto found = answer->find(name);
    if (found == answer->end() || found->second.shape() != tensor.shape()) {
      throw HookFailure{internal_error(
          "layer " + std::to_string(layer) + ", " + std::string(name_of(site.call.op)) +
          ": expected the hook to return '" + name + "' of shape " + shape_text(tensor.shape()) +
          ", found " +
          (found == answer->end() ? "no such tensor" : shape_text(found->second.shape())))};
    }
  }
  return std::move(answer).value();
}

ConvResult MixerOps::conv(int64_t layer, const at::Tensor& x, const at::Tensor& weight,
                          const at::Tensor& initial_state, const TokenLayout& layout) const {
  const ConvResult own = form_ == OpForm::kFast
                             ? causal_conv1d_fast(x, weight, initial_state, layout.cu_seqlens)
                             : causal_conv1d(x, weight, std::nullopt, when_defined(initial_state),
                                             layout.cu_seqlens, true);
  if (!*hook_) return own;
  OpCall call;
  call.attributes.activation = Activation::kSilu;
  call.inputs["weight"] = from_aten(weight);
  if (is_update(layout)) {
    call.op = Op::kCausalConv1dUpdate;
    call.inputs["x"] = from_aten(drop_time(x));
    call.inputs["conv_state"] = from_aten(initial_state);
    const TensorMap out = ask(
        layer, std::move(call),
        {{"output", from_aten(drop_time(own.output))}, {"conv_state", from_aten(own.final_state)}});
    return {to_aten(out.at("output")).unsqueeze(1), to_aten(out.at("conv_state"))};
  }
  call.op = Op::kCausalConv1d;
  call.inputs["x"] = from_aten(x);
  if (initial_state.defined()) call.inputs["initial_state"] = from_aten(initial_state);
  describe_packing(layout, true, call);
  const TensorMap out =
      ask(layer, std::move(call),
          {{"output", from_aten(own.output)}, {"final_state", from_aten(own.final_state)}});
  return {to_aten(out.at("output")), to_aten(out.at("final_state"))};
}

DeltaResult MixerOps::delta_rule(int64_t layer, const at::Tensor& q, const at::Tensor& k,
                                 const at::Tensor& v, const at::Tensor& g, const at::Tensor& beta,
                                 const at::Tensor& initial_state, const TokenLayout& layout) const {
  const DeltaResult own =
      form_ == OpForm::kFast
          ? DeltaRuleTensors(q, k, v, g, beta, initial_state, layout.cu_seqlens).evaluate()
          : recurrent_gated_delta_rule(q, k, v, g, beta, when_defined(initial_state),
                                       layout.cu_seqlens, 0.0, true);
  if (!*hook_) return own;
  OpCall call;
  call.attributes.qk_l2norm = true;
  const bool update = is_update(layout);
  const auto shown = [update](const at::Tensor& x) { return from_aten(update ? drop_time(x) : x); };
  call.inputs["q"] = shown(q);
  call.inputs["k"] = shown(k);
  call.inputs["v"] = shown(v);
  call.inputs["g"] = shown(g);
  call.inputs["beta"] = shown(beta);
  if (update) {
    call.op = Op::kRecurrentGatedDeltaRuleUpdate;
    call.inputs["state"] = from_aten(initial_state);
    const TensorMap out =
        ask(layer, std::move(call),
            {{"output", shown(own.output)}, {"state", from_aten(own.final_state)}});
    return {to_aten(out.at("output")).unsqueeze(1), to_aten(out.at("state"))};
  }
  call.op = Op::kRecurrentGatedDeltaRule;
  if (initial_state.defined()) call.inputs["initial_state"] = from_aten(initial_state);
  describe_packing(layout, false, call);
  const TensorMap out =
      ask(layer, std::move(call),
          {{"output", from_aten(own.output)}, {"final_state", from_aten(own.final_state)}});
  return {to_aten(out.at("output")), to_aten(out.at("final_state"))};
}

at::Tensor MixerOps::norm(int64_t layer, const at::Tensor& x, const at::Tensor& z,
                          const at::Tensor& weight, double eps) const {
  const at::Tensor own = gated_rms_norm(x, z, weight, eps);
  if (!*hook_) return own;
  OpCall call;
  call.op = Op::kGatedRmsNorm;
  call.attributes.eps = eps;
  call.inputs["x"] = from_aten(x);
  call.inputs["z"] = from_aten(z);
  call.inputs["weight"] = from_aten(weight);
  return to_aten(ask(layer, std::move(call), {{"output", from_aten(own)}}).at("output"));
}

}  // namespace packproof::reference
