#include "harness/core/fill.h"
#include "harness/core/fill_gates.h"
#include "harness/ops/packed_call.h"
#include "harness/ops/rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace packproof {
namespace {

constexpr int64_t kUnusedSlots = 2;  // Of a pool that whole sequences find their states in.

/// Builds the tensors of one case. Every tensor's data depend on the seed, its name and its place
/// in its own sequence.
class CaseBuilder {
 public:
  explicit CaseBuilder(const CaseSpec& spec)
      : spec_(spec), geometry_(geometry_of(spec.op)), packing_(packing_of(spec)) {
    built_.spec = spec;
    built_.packing = packing_;
    built_.call.op = spec.op;
    built_.call.direction = spec.direction;
    built_.call.variant = spec.variant;
    built_.call.attributes.activation = spec.activation;
    built_.call.attributes.qk_l2norm = spec.qk_l2norm;
    built_.call.attributes.scale = spec.scale;
    built_.call.attributes.eps = spec.eps;
    built_.call.attributes.rope_theta = spec.rope_theta;
    // The gates of a token's heads are one row; every other row is a head's.
    if (geometry_ == Geometry::kRows && spec.op != Op::kDeltaRuleGate) {
      built_.rows_per_token = spec.num_v_heads;
    }
    // Slots take one token per sequence whatever the lengths say; length 0 skips the slot.
    if (geometry_ == Geometry::kSlots) {
      tokens_ = Packing::from_lengths(std::vector<int64_t>(spec.lens.size(), 1)).value();
    } else {
      tokens_ = packing_;
    }
  }

  Result<PackedCall> build() {
    switch (spec_.op) {
      case Op::kCausalConv1d:
      case Op::kCausalConv1dUpdate:
        convolution();
        break;
      case Op::kRecurrentGatedDeltaRule:
      case Op::kRecurrentGatedDeltaRuleUpdate:
      case Op::kChunkGatedDeltaRule:
        delta_rule();
        break;
      case Op::kGatedRmsNorm:
      case Op::kRmsNorm:
      case Op::kL2Norm:
        norm();
        break;
      case Op::kDeltaRuleGate:
        delta_rule_gate();
        break;
      case Op::kRope:
        rope();
        break;
      case Op::kVarlenAttention:
        attention();
        break;
      case Op::kOutputGate:
        elementwise("x", "gate");
        break;
      case Op::kSwiGlu:
        elementwise("gate", "up");
        break;
    }
    if (spec_.direction == Direction::kBackward) backward();
    return std::move(built_);
  }

 private:
  Tensor tokens(const char* name, const FillRecipe& recipe, std::vector<int64_t> inner) const {
    return fill_tokens(recipe, {spec_.seed, name, spec_.dtype, token_shape(std::move(inner))},
                       tokens_);
  }

  Tensor shared(const char* name, const FillRecipe& recipe, std::vector<int64_t> shape) const {
    return fill_shared(recipe, {spec_.seed, name, spec_.dtype, std::move(shape)});
  }

  std::vector<int64_t> token_shape(std::vector<int64_t> inner) const {
    std::vector<int64_t> shape;
    if (geometry_ == Geometry::kTokens) shape = {1, tokens_.total_rows()};
    if (geometry_ == Geometry::kSlots) shape = {tokens_.num_seqs()};
    if (geometry_ == Geometry::kRows) shape = {tokens_.total_rows() * built_.rows_per_token};
    shape.insert(shape.end(), inner.begin(), inner.end());
    return shape;
  }

  void token_output(const char* name, std::vector<int64_t> inner) {
    built_.call.outputs[name] = {spec_.dtype, token_shape(std::move(inner)), {}};
  }

  /// Initial states and the final states asked for (prefill), or the pool and its indices.
  void states(const char* pool, DType dtype, std::vector<int64_t> inner) {
    const int64_t count = packing_.num_seqs();
    const bool in_pool = geometry_ == Geometry::kSlots || spec_.initial_state == StateInit::kPool;
    const int64_t unused = geometry_ == Geometry::kSlots ? spec_.slack : kUnusedSlots;
    const int64_t slots = in_pool ? count + unused : count;
    std::vector<int64_t> shape{slots};
    shape.insert(shape.end(), inner.begin(), inner.end());
    std::vector<int64_t> ordinals(static_cast<std::size_t>(slots));
    std::iota(ordinals.begin(), ordinals.end(), 0);
    if (in_pool) {
      built_.call.inputs["state_indices"] = slot_indices(slots, ordinals);
      built_.call.inputs[pool] =
          fill_sequences(FillRecipe::normal(0.5), {spec_.seed, pool, dtype, shape}, ordinals);
      built_.call.outputs[pool] = {dtype, shape, {}};
      return;
    }
    const FillRecipe recipe = spec_.initial_state == StateInit::kZero ? FillRecipe::constant(0.0)
                                                                      : FillRecipe::normal(0.5);
    if (spec_.initial_state != StateInit::kNone) {
      built_.call.inputs["initial_state"] =
          fill_sequences(recipe, {spec_.seed, "initial_state", dtype, shape}, ordinals);
    }
    // Ids alone carry no states: the library's convolution takes one or the other (spec 6.3).
    if (spec_.final_state && spec_.metadata != Metadata::kSeqIdx) {
      built_.call.outputs["final_state"] = {dtype, shape, {}};
    }
  }

  /// Sequences take slots in an order that is not their own; slot s holds the state of the sequence
  /// that names it, so the ordinals are permuted along.
  Tensor slot_indices(int64_t slots, std::vector<int64_t>& ordinals) const {
    const int64_t count = packing_.num_seqs();
    std::vector<int64_t> indices(static_cast<std::size_t>(count));
    uint64_t state = spec_.seed * 2 + 1;
    std::vector<int64_t> free(static_cast<std::size_t>(slots));
    std::iota(free.begin(), free.end(), 0);
    for (std::size_t i = free.size(); i > 1; --i) {
      state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      std::swap(free[i - 1], free[(state >> 33) % i]);
    }
    for (int64_t s = 0; s < slots; ++s) {
      ordinals[static_cast<std::size_t>(free[static_cast<std::size_t>(s)])] = s;
    }
    for (int64_t n = 0; n < count; ++n) {
      indices[static_cast<std::size_t>(n)] = has_slot(n) ? free[static_cast<std::size_t>(n)] : -1;
    }
    return Tensor::from_ints(DType::kI32, {count}, indices);
  }

  /// A step without a token has none. Of whole sequences every third one, in a quarter of the seeds.
  bool has_slot(int64_t n) const {
    if (geometry_ == Geometry::kSlots) return packing_.length(n) > 0;
    return spec_.seed % 4 != 3 || n % 3 != 1;
  }

  void convolution() {
    built_.call.inputs["x"] = tokens("x", FillRecipe::normal(), {spec_.channels});
    built_.call.inputs["weight"] =
        shared("weight", FillRecipe::normal(0.6), {spec_.channels, spec_.conv_width});
    if (spec_.bias) {
      built_.call.inputs["bias"] = shared("bias", FillRecipe::normal(0.5), {spec_.channels});
    }
    token_output("output", {spec_.channels});
    states("conv_state", spec_.dtype, {spec_.channels, spec_.conv_width - 1});
  }

  void delta_rule() {
    // Without normalisation inside the op, keys come with a norm of about 1: longer ones make the
    // definition itself grow without bound.
    const double key_scale =
        spec_.qk_l2norm ? 1.0 : 0.9 / std::sqrt(static_cast<double>(spec_.head_k_dim));
    const std::vector<int64_t> key{spec_.num_k_heads, spec_.head_k_dim};
    built_.call.inputs["q"] = tokens("q", FillRecipe::normal(key_scale), key);
    built_.call.inputs["k"] = tokens("k", FillRecipe::normal(key_scale), key);
    built_.call.inputs["v"] =
        tokens("v", FillRecipe::normal(), {spec_.num_v_heads, spec_.head_v_dim});
    built_.call.inputs["beta"] = tokens("beta", FillRecipe::sigmoid_normal(), {spec_.num_v_heads});
    if (spec_.gate_in_kernel) {
      GateParameters gate = fill_gate_parameters(spec_.seed, spec_.gate, spec_.dtype,
                                                 token_shape({spec_.num_v_heads}), tokens_);
      built_.call.inputs["a"] = std::move(gate.a);
      built_.call.inputs["A_log"] = std::move(gate.A_log);
      built_.call.inputs["dt_bias"] = std::move(gate.dt_bias);
    } else {
      built_.call.inputs["g"] =
          fill_log_decays(spec_.seed, spec_.gate, token_shape({spec_.num_v_heads}), tokens_);
    }
    token_output("output", {spec_.num_v_heads, spec_.head_v_dim});
    states("state", DType::kF32, {spec_.num_v_heads, spec_.head_k_dim, spec_.head_v_dim});
  }

  void norm() {
    built_.call.inputs["x"] = tokens("x", FillRecipe::normal(), {spec_.head_v_dim});
    if (spec_.op == Op::kGatedRmsNorm) {
      built_.call.inputs["z"] = tokens("z", FillRecipe::normal(), {spec_.head_v_dim});
    }
    if (spec_.op != Op::kL2Norm) {
      // The weight of rms_norm is zero-centred (spec 2.2).
      const double mean = spec_.op == Op::kGatedRmsNorm ? 1.0 : 0.0;
      built_.call.inputs["weight"] =
          shared("weight", FillRecipe::normal(0.2, mean), {spec_.head_v_dim});
    }
    token_output("output", {spec_.head_v_dim});
  }

  void delta_rule_gate() {
    GateParameters gate = fill_gate_parameters(spec_.seed, spec_.gate, spec_.dtype,
                                               token_shape({spec_.num_v_heads}), tokens_);
    built_.call.inputs["a"] = std::move(gate.a);
    built_.call.inputs["A_log"] = std::move(gate.A_log);
    built_.call.inputs["dt_bias"] = std::move(gate.dt_bias);
    built_.call.inputs["b"] = tokens("b", FillRecipe::normal(), {spec_.num_v_heads});
    token_output("g", {spec_.num_v_heads});
    built_.call.outputs["g"].dtype = DType::kF32;
    token_output("beta", {spec_.num_v_heads});
  }

  /// Positions restart in every sequence; every other one starts far away, where angles are large.
  void rope() {
    const std::vector<int64_t> inner{spec_.num_k_heads, spec_.head_k_dim};
    std::vector<int64_t> positions;
    for (int64_t n = 0; n < tokens_.num_seqs(); ++n) {
      const int64_t first = n % 2 == 0 ? 0 : static_cast<int64_t>(spec_.seed % 131072);
      for (int64_t t = 0; t < tokens_.length(n); ++t) positions.push_back(first + t);
    }
    built_.call.inputs["x"] = tokens("x", FillRecipe::normal(), inner);
    built_.call.inputs["position_ids"] =
        Tensor::from_ints(DType::kI64, {1, tokens_.total_rows()}, positions);
    // A quarter of the head rotates (partial_rotary_factor), at least one pair.
    built_.call.attributes.rotary_dim = std::max<int64_t>(2, spec_.head_k_dim / 8 * 2);
    token_output("output", inner);
  }

  void attention() {
    const std::vector<int64_t> key{spec_.num_k_heads, spec_.head_k_dim};
    const std::vector<int64_t> query{spec_.num_v_heads, spec_.head_k_dim};
    built_.call.inputs["q"] = tokens("q", FillRecipe::normal(), query);
    built_.call.inputs["k"] = tokens("k", FillRecipe::normal(), key);
    built_.call.inputs["v"] = tokens("v", FillRecipe::normal(), key);
    token_output("output", query);
    token_output("lse", {spec_.num_v_heads});
    built_.call.outputs["lse"].dtype = DType::kF32;
  }

  void elementwise(const char* first, const char* second) {
    for (const char* name : {first, second}) {
      built_.call.inputs[name] = tokens(name, FillRecipe::normal(2.0), {spec_.head_v_dim});
    }
    token_output("output", {spec_.head_v_dim});
  }

  /// Gradients of the outputs become inputs, and every floating input asks for its gradient.
  void backward() {
    const std::map<std::string, OutputSpec> forward = std::move(built_.call.outputs);
    built_.call.outputs.clear();
    for (const auto& [name, output] : forward) {
      const std::string gradient = "d_" + name;
      const TensorSchema* schema =
          find_schema(spec_.op, Direction::kBackward, gradient, /*output=*/false);
      if (schema == nullptr || schema->role != TensorRole::kToken) continue;
      built_.call.inputs[gradient] = fill_tokens(
          FillRecipe::normal(), {spec_.seed, gradient, output.dtype, output.shape}, tokens_);
    }
    // In a right-padded batch a convolution's final state holds pads, and so belongs to no sequence.
    const bool pads_only =
        spec_.op == Op::kCausalConv1d && spec_.layout == BatchLayout::kPaddedRight;
    if (const auto state = forward.find("final_state"); state != forward.end() && !pads_only) {
      std::vector<int64_t> ordinals(static_cast<std::size_t>(packing_.num_seqs()));
      std::iota(ordinals.begin(), ordinals.end(), 0);
      built_.call.inputs["d_final_state"] = fill_sequences(
          FillRecipe::normal(0.5),
          {spec_.seed, "d_final_state", state->second.dtype, state->second.shape}, ordinals);
    }
    for (const TensorSchema& schema : schema_of(spec_.op, Direction::kBackward)) {
      if (!schema.output) continue;
      const std::string name(schema.name);
      const auto input = built_.call.inputs.find(name.substr(2));
      if (input == built_.call.inputs.end()) continue;
      built_.call.outputs[name] = {
          schema.float32_only ? DType::kF32 : spec_.dtype, input->second.shape(), {}};
    }
    // A gradient need not depend on what its forward read (rope).
    std::erase_if(built_.call.inputs, [this](const auto& input) {
      return find_schema(spec_.op, Direction::kBackward, input.first, /*output=*/false) == nullptr;
    });
  }

  const CaseSpec& spec_;
  Geometry geometry_;
  Packing packing_;
  Packing tokens_;
  PackedCall built_;
};

}  // namespace

Result<PackedCall> build_case(const CaseSpec& spec) {
  PACKPROOF_CHECK_OK(validate(spec));
  return CaseBuilder(spec).build();
}

}  // namespace packproof
