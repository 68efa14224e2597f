#include "harness/judge/argument.h"

namespace packproof {
namespace {

/// Channels before tokens ([B, C, T]), as in causal-conv1d and in torch; FLA keeps [B, T, C].
bool channels_first(const CapturedCall& call) {
  return call.function.starts_with("causal_conv1d:") || call.function.starts_with("transformers.");
}

Result<Activation> activation_of(const CapturedCall& call) {
  const std::string name = call.scalar("activation", "none");
  if (name == "none") return Activation::kNone;
  if (name == "silu" || name == "swish") return Activation::kSilu;
  return invalid_input("expected the activation silu, swish or None, found '" + name + "'");
}

/// 16-bit tensors: what the adapters declare of these functions (harness/python).
void count_on_16_bits(const CapturedCall& call, MappedCall& mapped) {
  const DType dtype = mapped.inputs["x"].dtype();
  if (dtype != DType::kF16 && dtype != DType::kBF16) {
    if (call.function.starts_with("transformers.") && call.on_gpu) {
      mapped.forward_roundoff = mapped.backward_roundoff = 0x1p-11;
      mapped.approximation = "torch's convolution may run in tf32";
    }
    return;
  }
  if (call.function.starts_with("transformers.")) {
    count_on_rounding(mapped, dtype, "torch rounds the pre-activation to the inputs' dtype");
  } else if (!call.on_gpu || !call.function.starts_with("causal_conv1d:")) {
    // On a CPU, FLA's convolution stands in for causal-conv1d.
    mapped.backward_roundoff = unit_roundoff(dtype);
    mapped.approximation = "FLA's backward reads the pre-activation back in the inputs' dtype";
  }
}

Status map_metadata(const CapturedCall& call, MappedCall& mapped) {
  const bool fla = !channels_first(call);
  mapped.metadata = fla ? "cu_seqlens" : "seq_idx";
  mapped.remedy = fla ? "DataCollatorWithFlattening(return_flash_attn_kwargs=True)"
                      : "DataCollatorWithFlattening(return_seq_idx=True)";
  mapped.received = sequences_of_rows(mapped.batch, mapped.length);
  const Tensor* metadata = find_argument(call.inputs, {mapped.metadata.c_str()});
  if (metadata == nullptr) return {};
  if (!fla && metadata->numel() != mapped.rows()) {
    return invalid_input("expected one seq_idx per token, found shape " +
                         shape_text(metadata->shape()));
  }
  mapped.given = true;
  if (fla) {
    PACKPROOF_TRY(mapped.received, sequences_of_offsets(*metadata, mapped.rows()));
  } else {
    PACKPROOF_TRY(mapped.received,
                  sequences_of_ids(metadata->reshaped({mapped.batch, mapped.length}), 0));
  }
  return {};
}

}  // namespace

Result<MappedCall> map_convolution(const CapturedCall& call) {
  PACKPROOF_CHECK_OK(refuse_arguments(call, {"residual", "cp_context"}));
  PACKPROOF_TRY(const Tensor* x, require_argument(call, {"x", "hidden_states"}));
  PACKPROOF_TRY(const Tensor* weight, require_argument(call, {"weight"}));
  const bool first = channels_first(call);
  if (x->rank() != 3 || weight->rank() != 2 || x->dim(first ? 1 : 2) != weight->dim(0)) {
    return invalid_input(std::string("expected x of shape ") + (first ? "[B, C, T]" : "[B, T, C]") +
                         " and weight [C, W], found " + shape_text(x->shape()) + " and " +
                         shape_text(weight->shape()));
  }
  const auto tokens = [&](const Tensor& tensor) {
    return first ? permuted(tensor, {0, 2, 1}) : tensor;
  };
  MappedCall mapped;
  mapped.op = Op::kCausalConv1d;
  mapped.inputs = {{"x", tokens(*x)}, {"weight", *weight}};
  mapped.batch = mapped.inputs["x"].dim(0);
  mapped.length = mapped.inputs["x"].dim(1);
  PACKPROOF_TRY(mapped.attributes.activation, activation_of(call));
  if (const Tensor* bias = find_argument(call.inputs, {"bias"})) mapped.inputs["bias"] = *bias;
  // FLA keeps W columns, the oldest of which no later token reads.
  const int64_t kept = weight->dim(1) - 1;
  if (const Tensor* state = find_argument(call.inputs, {"initial_state", "initial_states"})) {
    mapped.inputs["initial_state"] = last_columns(*state, kept);
  }
  const auto take = [&](const TensorMap& from, const char* name, bool token_rows, TensorMap& to) {
    if (const Tensor* found = find_argument(from, {name})) {
      to[name] = token_rows ? tokens(*found) : *found;
    }
  };
  take(call.outputs, "output", true, mapped.outputs);
  take(call.gradients, "d_output", true, mapped.upstream);
  take(call.gradients, "d_weight", false, mapped.gradients);
  take(call.gradients, "d_bias", false, mapped.gradients);
  if (const Tensor* d_x = find_argument(call.gradients, {"d_x", "d_hidden_states"})) {
    mapped.gradients["d_x"] = tokens(*d_x);
  }
  if (const Tensor* state = find_argument(call.outputs, {"final_state"})) {
    mapped.outputs["final_state"] = last_columns(*state, kept);
  }
  if (const Tensor* state = find_argument(call.gradients, {"d_final_state"})) {
    mapped.upstream["d_final_state"] = last_columns(*state, kept);
  }
  if (const Tensor* state =
          find_argument(call.gradients, {"d_initial_state", "d_initial_states"})) {
    mapped.gradients["d_initial_state"] = last_columns(*state, kept);
  }
  PACKPROOF_CHECK_OK(map_metadata(call, mapped));
  count_on_16_bits(call, mapped);
  return mapped;
}

}  // namespace packproof
