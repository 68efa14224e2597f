#include "harness/judge/argument.h"

namespace packproof {
namespace {

// As the adapter of flash-linear-attention declares it: float32 factors may be cut to tf32 on a GPU.
constexpr double kTf32Roundoff = 0x1p-11;

Tensor filled(DType dtype, std::vector<int64_t> shape, double value) {
  Tensor tensor(dtype, std::move(shape));
  for (int64_t i = 0; i < tensor.numel(); ++i) tensor.set(i, value);
  return tensor;
}

/// States as [N, Hv, K, V], whichever way the call keeps them.
Tensor state_of(const CapturedCall& call, const Tensor& state) {
  return call.is_set("state_v_first") || call.is_set("transpose_state_layout")
             ? permuted(state, {0, 1, 3, 2})
             : state;
}

/// The gates: g itself, or what it is made from inside the kernel.
Status map_gates(const CapturedCall& call, MappedCall& mapped) {
  const std::vector<int64_t> heads{mapped.batch, mapped.length, mapped.inputs["v"].dim(2)};
  const Tensor* g = find_argument(call.inputs, {"g"});
  if (!call.is_set("use_gate_in_kernel")) {
    mapped.inputs["g"] = g != nullptr ? *g : filled(DType::kF32, heads, 0.0);
  } else {
    PACKPROOF_TRY(const Tensor* a, require_argument(call, {"g"}));
    PACKPROOF_TRY(const Tensor* A_log, require_argument(call, {"A_log"}));
    mapped.inputs["a"] = *a;
    mapped.inputs["A_log"] = A_log->reshaped({A_log->numel()}).to(DType::kF32);
    const Tensor* dt_bias = find_argument(call.inputs, {"dt_bias"});
    mapped.inputs["dt_bias"] = dt_bias != nullptr
                                   ? dt_bias->reshaped({dt_bias->numel()}).to(DType::kF32)
                                   : filled(DType::kF32, {heads[2]}, 0.0);
  }
  const Tensor* beta = find_argument(call.inputs, {"beta"});
  mapped.inputs["beta"] = beta != nullptr ? *beta : filled(DType::kF32, heads, 1.0);
  return {};
}

void map_gradients(const CapturedCall& call, MappedCall& mapped) {
  const bool inside = call.is_set("use_gate_in_kernel");
  const auto take = [&](std::initializer_list<const char*> names, const std::string& as,
                        TensorMap& target) {
    if (const Tensor* found = find_argument(call.gradients, names)) target[as] = *found;
  };
  take({"d_output"}, "d_output", mapped.upstream);
  take({"d_final_state"}, "d_final_state", mapped.upstream);
  take({"d_q", "d_query"}, "d_q", mapped.gradients);
  take({"d_k", "d_key"}, "d_k", mapped.gradients);
  take({"d_v", "d_value"}, "d_v", mapped.gradients);
  take({"d_g"}, inside ? "d_a" : "d_g", mapped.gradients);
  take({"d_beta"}, "d_beta", mapped.gradients);
  take({"d_initial_state"}, "d_initial_state", mapped.gradients);
  if (inside) {
    take({"d_A_log"}, "d_A_log", mapped.gradients);
    take({"d_dt_bias"}, "d_dt_bias", mapped.gradients);
  }
  for (auto* tensors : {&mapped.upstream, &mapped.gradients}) {
    for (const char* name : {"d_final_state", "d_initial_state"}) {
      if (const auto found = tensors->find(name); found != tensors->end()) {
        found->second = state_of(call, found->second);
      }
    }
  }
}

}  // namespace

Result<MappedCall> map_delta_rule(const CapturedCall& call, Op op) {
  PACKPROOF_CHECK_OK(refuse_arguments(call, {"gk", "gv", "use_beta_sigmoid_in_kernel",
                                             "allow_neg_eigval", "cp_context", "head_first"}));
  PACKPROOF_TRY(const Tensor* q, require_argument(call, {"q", "query"}));
  PACKPROOF_TRY(const Tensor* k, require_argument(call, {"k", "key"}));
  PACKPROOF_TRY(const Tensor* v, require_argument(call, {"v", "value"}));
  if (q->rank() != 4 || v->rank() != 4) {
    return invalid_input("expected q, k and v of shape [B, T, H, K], found " +
                         shape_text(q->shape()) + " and " + shape_text(v->shape()));
  }
  MappedCall mapped;
  mapped.op = op;
  mapped.batch = q->dim(0);
  mapped.length = q->dim(1);
  mapped.inputs = {{"q", *q}, {"k", *k}, {"v", *v}};
  PACKPROOF_CHECK_OK(map_gates(call, mapped));
  PACKPROOF_TRY(mapped.attributes.scale, number_argument(call, "scale", 0.0));
  PACKPROOF_TRY(const double chunk, number_argument(call, "chunk_size", 64.0));
  mapped.attributes.chunk_size = static_cast<int64_t>(chunk);
  mapped.attributes.qk_l2norm = call.is_set("use_qk_l2norm_in_kernel");
  if (const Tensor* state = find_argument(call.inputs, {"initial_state"})) {
    mapped.inputs["initial_state"] = state_of(call, *state).to(DType::kF32);
  }
  if (const Tensor* output = find_argument(call.outputs, {"output"})) {
    mapped.outputs["output"] = *output;
  }
  if (const Tensor* state = find_argument(call.outputs, {"final_state"})) {
    mapped.outputs["final_state"] = state_of(call, *state);
  }
  map_gradients(call, mapped);

  mapped.metadata = "cu_seqlens";
  mapped.remedy = "DataCollatorWithFlattening(return_flash_attn_kwargs=True)";
  mapped.received = sequences_of_rows(mapped.batch, mapped.length);
  if (const Tensor* offsets = find_argument(call.inputs, {"cu_seqlens"})) {
    PACKPROOF_TRY(mapped.received, sequences_of_offsets(*offsets, mapped.rows()));
    mapped.given = true;
  }
  if (q->dtype() == DType::kF32 && call.on_gpu && op == Op::kChunkGatedDeltaRule) {
    mapped.forward_roundoff = mapped.backward_roundoff = kTf32Roundoff;
    mapped.approximation = "products of float32 factors may run in tf32";
  }
  return mapped;
}

}  // namespace packproof
