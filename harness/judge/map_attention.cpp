#include "harness/judge/argument.h"

namespace packproof {
namespace {

/// How a function lays out its rows, as the axes of [B, T, H, D].
enum class Layout : uint8_t {
  kHeadsFirst,  ///< [B, H, T, D]: sdpa and eager; they return [B, T, H, D].
  kTokens,      ///< [B, T, H, D]: flash_attn_func.
  kPacked,      ///< [T, H, D]: flash_attn_varlen_func.
};

Tensor tokens_of(const Tensor& tensor, Layout layout) {
  switch (layout) {
    case Layout::kHeadsFirst:
      return permuted(tensor, {0, 2, 1, 3});
    case Layout::kPacked:
      return tensor.reshaped({1, tensor.dim(0), tensor.dim(1), tensor.dim(2)});
    case Layout::kTokens:
      break;
  }
  return tensor;
}

Layout layout_of(const CapturedCall& call) {
  if (call.inputs.contains("query")) return Layout::kHeadsFirst;
  return call.inputs.contains("cu_seqlens_q") ? Layout::kPacked : Layout::kTokens;
}

bool same_values(const Tensor& a, const Tensor& b) {
  if (a.numel() != b.numel()) return false;
  for (int64_t i = 0; i < a.numel(); ++i) {
    if (a.int_at(i) != b.int_at(i)) return false;
  }
  return true;
}

/// Arguments that change what is computed.
Status check_plain(const CapturedCall& call, Layout layout) {
  PACKPROOF_CHECK_OK(
      refuse_arguments(call, {"dropout", "dropout_p", "softcap", "sliding_window", "position_bias",
                              "alibi_slopes", "s_aux", "block_table", "cache"}));
  const std::string window = call.scalar("window_size", "-1,-1");
  if (window != "-1,-1") {
    return invalid_input("the reference knows no window, which was given");
  }
  const bool flash = layout != Layout::kHeadsFirst;
  if (call.scalar(flash ? "causal" : "is_causal", flash ? "0" : "1") == "0") {
    return invalid_input("expected causal attention, found a call without");
  }
  return {};
}

Status map_metadata(const CapturedCall& call, Layout layout, MappedCall& mapped) {
  mapped.received = sequences_of_rows(mapped.batch, mapped.length);
  if (layout == Layout::kPacked) {
    mapped.metadata = "cu_seqlens_q";
    mapped.remedy = "DataCollatorWithFlattening(return_flash_attn_kwargs=True)";
    PACKPROOF_TRY(const Tensor* offsets, require_argument(call, {"cu_seqlens_q"}));
    PACKPROOF_TRY(const Tensor* keys, require_argument(call, {"cu_seqlens_k"}));
    if (!same_values(*offsets, *keys)) {
      return invalid_input("expected equal cu_seqlens_q and cu_seqlens_k, found different ones");
    }
    mapped.given = true;
    PACKPROOF_TRY(mapped.received, sequences_of_offsets(*offsets, mapped.rows()));
    return {};
  }
  mapped.metadata = layout == Layout::kTokens ? "cu_seqlens_q" : "attention_mask";
  mapped.remedy = layout == Layout::kTokens
                      ? "DataCollatorWithFlattening(return_flash_attn_kwargs=True)"
                      : "position_ids that restart, and use_cache=False";
  const Tensor* mask = find_argument(call.inputs, {"attention_mask"});
  if (mask == nullptr) return {};
  mapped.given = true;
  PACKPROOF_TRY(mapped.received, sequences_of_mask(*mask, mapped.batch));
  return {};
}

}  // namespace

Result<MappedCall> map_attention(const CapturedCall& call) {
  const Layout layout = layout_of(call);
  PACKPROOF_CHECK_OK(check_plain(call, layout));
  PACKPROOF_TRY(const Tensor* q, require_argument(call, {"query", "q"}));
  PACKPROOF_TRY(const Tensor* k, require_argument(call, {"key", "k"}));
  PACKPROOF_TRY(const Tensor* v, require_argument(call, {"value", "v"}));
  const int64_t rank = layout == Layout::kPacked ? 3 : 4;
  if (q->rank() != rank || k->rank() != rank || v->shape() != k->shape()) {
    return invalid_input("expected queries, and keys and values of one shape, found " +
                         shape_text(q->shape()) + ", " + shape_text(k->shape()) + " and " +
                         shape_text(v->shape()));
  }
  MappedCall mapped;
  mapped.op = Op::kVarlenAttention;
  mapped.inputs = {
      {"q", tokens_of(*q, layout)}, {"k", tokens_of(*k, layout)}, {"v", tokens_of(*v, layout)}};
  mapped.batch = mapped.inputs["q"].dim(0);
  mapped.length = mapped.inputs["q"].dim(1);
  if (const int64_t keys = mapped.inputs["k"].dim(1); keys != mapped.length) {
    return invalid_input("expected as many keys as queries, found " + std::to_string(keys) +
                         " keys of a cache for " + std::to_string(mapped.length) + " queries");
  }
  PACKPROOF_TRY(
      mapped.attributes.scale,
      number_argument(call, layout == Layout::kHeadsFirst ? "scaling" : "softmax_scale", 0.0));
  const Layout returned = layout == Layout::kHeadsFirst ? Layout::kTokens : layout;
  if (const Tensor* output = find_argument(call.outputs, {"output"})) {
    mapped.outputs["output"] = tokens_of(*output, returned);
  }
  if (const Tensor* d_output = find_argument(call.gradients, {"d_output"})) {
    mapped.upstream["d_output"] = tokens_of(*d_output, returned);
  }
  const auto take = [&](const char* ours, const char* theirs) {
    if (const Tensor* found = find_argument(call.gradients, {theirs, ours})) {
      mapped.gradients[ours] = tokens_of(*found, layout);
    }
  };
  take("d_q", "d_query");
  take("d_k", "d_key");
  take("d_v", "d_value");
  PACKPROOF_CHECK_OK(map_metadata(call, layout, mapped));
  const DType dtype = q->dtype();
  if (dtype == DType::kF16 || dtype == DType::kBF16) {
    count_on_rounding(mapped, dtype, "scores and weights are rounded to the inputs' dtype");
  } else if (call.on_gpu) {
    count_on_rounding(mapped, DType::kF16, "products of float32 factors may run in tf32");
  }
  return mapped;
}

}  // namespace packproof
