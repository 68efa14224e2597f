#include "harness/worker/abi_binding.h"

#include "harness/worker/host_device.h"

#include <cstddef>
#include <cstring>

#include <gtest/gtest.h>

namespace packproof {
namespace {

/// Where kernel_abi.h keeps the tensors of an argument struct: every tensor member has the name of
/// the schema.
struct StructLayout {
  Op op;
  Direction direction;
  std::size_t size;
  std::map<std::string, std::size_t> offsets;
};

const StructLayout kLayouts[] = {
    {Op::kCausalConv1d,
     Direction::kForward,
     sizeof(packproof_causal_conv1d_fwd_args),
     {{"x", offsetof(packproof_causal_conv1d_fwd_args, x)},
      {"weight", offsetof(packproof_causal_conv1d_fwd_args, weight)},
      {"bias", offsetof(packproof_causal_conv1d_fwd_args, bias)},
      {"initial_state", offsetof(packproof_causal_conv1d_fwd_args, initial_state)},
      {"output", offsetof(packproof_causal_conv1d_fwd_args, output)},
      {"final_state", offsetof(packproof_causal_conv1d_fwd_args, final_state)}}},
    {Op::kCausalConv1d,
     Direction::kBackward,
     sizeof(packproof_causal_conv1d_bwd_args),
     {{"x", offsetof(packproof_causal_conv1d_bwd_args, x)},
      {"weight", offsetof(packproof_causal_conv1d_bwd_args, weight)},
      {"bias", offsetof(packproof_causal_conv1d_bwd_args, bias)},
      {"initial_state", offsetof(packproof_causal_conv1d_bwd_args, initial_state)},
      {"d_output", offsetof(packproof_causal_conv1d_bwd_args, d_output)},
      {"d_final_state", offsetof(packproof_causal_conv1d_bwd_args, d_final_state)},
      {"d_x", offsetof(packproof_causal_conv1d_bwd_args, d_x)},
      {"d_weight", offsetof(packproof_causal_conv1d_bwd_args, d_weight)},
      {"d_bias", offsetof(packproof_causal_conv1d_bwd_args, d_bias)},
      {"d_initial_state", offsetof(packproof_causal_conv1d_bwd_args, d_initial_state)}}},
    {Op::kCausalConv1dUpdate,
     Direction::kForward,
     sizeof(packproof_causal_conv1d_update_args),
     {{"x", offsetof(packproof_causal_conv1d_update_args, x)},
      {"weight", offsetof(packproof_causal_conv1d_update_args, weight)},
      {"bias", offsetof(packproof_causal_conv1d_update_args, bias)},
      {"conv_state", offsetof(packproof_causal_conv1d_update_args, conv_state)},
      {"state_indices", offsetof(packproof_causal_conv1d_update_args, state_indices)},
      {"output", offsetof(packproof_causal_conv1d_update_args, output)}}},
    {Op::kRecurrentGatedDeltaRule,
     Direction::kForward,
     sizeof(packproof_gated_delta_rule_fwd_args),
     {{"q", offsetof(packproof_gated_delta_rule_fwd_args, q)},
      {"k", offsetof(packproof_gated_delta_rule_fwd_args, k)},
      {"v", offsetof(packproof_gated_delta_rule_fwd_args, v)},
      {"g", offsetof(packproof_gated_delta_rule_fwd_args, g)},
      {"a", offsetof(packproof_gated_delta_rule_fwd_args, a)},
      {"A_log", offsetof(packproof_gated_delta_rule_fwd_args, A_log)},
      {"dt_bias", offsetof(packproof_gated_delta_rule_fwd_args, dt_bias)},
      {"beta", offsetof(packproof_gated_delta_rule_fwd_args, beta)},
      {"initial_state", offsetof(packproof_gated_delta_rule_fwd_args, initial_state)},
      {"output", offsetof(packproof_gated_delta_rule_fwd_args, output)},
      {"final_state", offsetof(packproof_gated_delta_rule_fwd_args, final_state)},
      {"state", offsetof(packproof_gated_delta_rule_fwd_args, state)},
      {"state_indices", offsetof(packproof_gated_delta_rule_fwd_args, state_indices)}}},
    {Op::kChunkGatedDeltaRule,
     Direction::kForward,
     sizeof(packproof_gated_delta_rule_fwd_args),
     {{"q", offsetof(packproof_gated_delta_rule_fwd_args, q)},
      {"k", offsetof(packproof_gated_delta_rule_fwd_args, k)},
      {"v", offsetof(packproof_gated_delta_rule_fwd_args, v)},
      {"g", offsetof(packproof_gated_delta_rule_fwd_args, g)},
      {"a", offsetof(packproof_gated_delta_rule_fwd_args, a)},
      {"A_log", offsetof(packproof_gated_delta_rule_fwd_args, A_log)},
      {"dt_bias", offsetof(packproof_gated_delta_rule_fwd_args, dt_bias)},
      {"beta", offsetof(packproof_gated_delta_rule_fwd_args, beta)},
      {"initial_state", offsetof(packproof_gated_delta_rule_fwd_args, initial_state)},
      {"output", offsetof(packproof_gated_delta_rule_fwd_args, output)},
      {"final_state", offsetof(packproof_gated_delta_rule_fwd_args, final_state)},
      {"state", offsetof(packproof_gated_delta_rule_fwd_args, state)},
      {"state_indices", offsetof(packproof_gated_delta_rule_fwd_args, state_indices)}}},
    {Op::kRecurrentGatedDeltaRule,
     Direction::kBackward,
     sizeof(packproof_gated_delta_rule_bwd_args),
     {{"q", offsetof(packproof_gated_delta_rule_bwd_args, q)},
      {"k", offsetof(packproof_gated_delta_rule_bwd_args, k)},
      {"v", offsetof(packproof_gated_delta_rule_bwd_args, v)},
      {"g", offsetof(packproof_gated_delta_rule_bwd_args, g)},
      {"a", offsetof(packproof_gated_delta_rule_bwd_args, a)},
      {"A_log", offsetof(packproof_gated_delta_rule_bwd_args, A_log)},
      {"dt_bias", offsetof(packproof_gated_delta_rule_bwd_args, dt_bias)},
      {"beta", offsetof(packproof_gated_delta_rule_bwd_args, beta)},
      {"initial_state", offsetof(packproof_gated_delta_rule_bwd_args, initial_state)},
      {"d_output", offsetof(packproof_gated_delta_rule_bwd_args, d_output)},
      {"d_final_state", offsetof(packproof_gated_delta_rule_bwd_args, d_final_state)},
      {"d_q", offsetof(packproof_gated_delta_rule_bwd_args, d_q)},
      {"d_k", offsetof(packproof_gated_delta_rule_bwd_args, d_k)},
      {"d_v", offsetof(packproof_gated_delta_rule_bwd_args, d_v)},
      {"d_g", offsetof(packproof_gated_delta_rule_bwd_args, d_g)},
      {"d_a", offsetof(packproof_gated_delta_rule_bwd_args, d_a)},
      {"d_A_log", offsetof(packproof_gated_delta_rule_bwd_args, d_A_log)},
      {"d_dt_bias", offsetof(packproof_gated_delta_rule_bwd_args, d_dt_bias)},
      {"d_beta", offsetof(packproof_gated_delta_rule_bwd_args, d_beta)},
      {"d_initial_state", offsetof(packproof_gated_delta_rule_bwd_args, d_initial_state)}}},
    {Op::kChunkGatedDeltaRule,
     Direction::kBackward,
     sizeof(packproof_gated_delta_rule_bwd_args),
     {{"q", offsetof(packproof_gated_delta_rule_bwd_args, q)},
      {"k", offsetof(packproof_gated_delta_rule_bwd_args, k)},
      {"v", offsetof(packproof_gated_delta_rule_bwd_args, v)},
      {"g", offsetof(packproof_gated_delta_rule_bwd_args, g)},
      {"a", offsetof(packproof_gated_delta_rule_bwd_args, a)},
      {"A_log", offsetof(packproof_gated_delta_rule_bwd_args, A_log)},
      {"dt_bias", offsetof(packproof_gated_delta_rule_bwd_args, dt_bias)},
      {"beta", offsetof(packproof_gated_delta_rule_bwd_args, beta)},
      {"initial_state", offsetof(packproof_gated_delta_rule_bwd_args, initial_state)},
      {"d_output", offsetof(packproof_gated_delta_rule_bwd_args, d_output)},
      {"d_final_state", offsetof(packproof_gated_delta_rule_bwd_args, d_final_state)},
      {"d_q", offsetof(packproof_gated_delta_rule_bwd_args, d_q)},
      {"d_k", offsetof(packproof_gated_delta_rule_bwd_args, d_k)},
      {"d_v", offsetof(packproof_gated_delta_rule_bwd_args, d_v)},
      {"d_g", offsetof(packproof_gated_delta_rule_bwd_args, d_g)},
      {"d_a", offsetof(packproof_gated_delta_rule_bwd_args, d_a)},
      {"d_A_log", offsetof(packproof_gated_delta_rule_bwd_args, d_A_log)},
      {"d_dt_bias", offsetof(packproof_gated_delta_rule_bwd_args, d_dt_bias)},
      {"d_beta", offsetof(packproof_gated_delta_rule_bwd_args, d_beta)},
      {"d_initial_state", offsetof(packproof_gated_delta_rule_bwd_args, d_initial_state)}}},
    {Op::kRecurrentGatedDeltaRuleUpdate,
     Direction::kForward,
     sizeof(packproof_gated_delta_rule_update_args),
     {{"q", offsetof(packproof_gated_delta_rule_update_args, q)},
      {"k", offsetof(packproof_gated_delta_rule_update_args, k)},
      {"v", offsetof(packproof_gated_delta_rule_update_args, v)},
      {"g", offsetof(packproof_gated_delta_rule_update_args, g)},
      {"a", offsetof(packproof_gated_delta_rule_update_args, a)},
      {"A_log", offsetof(packproof_gated_delta_rule_update_args, A_log)},
      {"dt_bias", offsetof(packproof_gated_delta_rule_update_args, dt_bias)},
      {"beta", offsetof(packproof_gated_delta_rule_update_args, beta)},
      {"state", offsetof(packproof_gated_delta_rule_update_args, state)},
      {"state_indices", offsetof(packproof_gated_delta_rule_update_args, state_indices)},
      {"output", offsetof(packproof_gated_delta_rule_update_args, output)}}},
    {Op::kGatedRmsNorm,
     Direction::kForward,
     sizeof(packproof_gated_rms_norm_fwd_args),
     {{"x", offsetof(packproof_gated_rms_norm_fwd_args, x)},
      {"z", offsetof(packproof_gated_rms_norm_fwd_args, z)},
      {"weight", offsetof(packproof_gated_rms_norm_fwd_args, weight)},
      {"output", offsetof(packproof_gated_rms_norm_fwd_args, output)}}},
    {Op::kGatedRmsNorm,
     Direction::kBackward,
     sizeof(packproof_gated_rms_norm_bwd_args),
     {{"x", offsetof(packproof_gated_rms_norm_bwd_args, x)},
      {"z", offsetof(packproof_gated_rms_norm_bwd_args, z)},
      {"weight", offsetof(packproof_gated_rms_norm_bwd_args, weight)},
      {"d_output", offsetof(packproof_gated_rms_norm_bwd_args, d_output)},
      {"d_x", offsetof(packproof_gated_rms_norm_bwd_args, d_x)},
      {"d_z", offsetof(packproof_gated_rms_norm_bwd_args, d_z)},
      {"d_weight", offsetof(packproof_gated_rms_norm_bwd_args, d_weight)}}},
    {Op::kRmsNorm,
     Direction::kForward,
     sizeof(packproof_rms_norm_fwd_args),
     {{"x", offsetof(packproof_rms_norm_fwd_args, x)},
      {"weight", offsetof(packproof_rms_norm_fwd_args, weight)},
      {"output", offsetof(packproof_rms_norm_fwd_args, output)}}},
    {Op::kRmsNorm,
     Direction::kBackward,
     sizeof(packproof_rms_norm_bwd_args),
     {{"x", offsetof(packproof_rms_norm_bwd_args, x)},
      {"weight", offsetof(packproof_rms_norm_bwd_args, weight)},
      {"d_output", offsetof(packproof_rms_norm_bwd_args, d_output)},
      {"d_x", offsetof(packproof_rms_norm_bwd_args, d_x)},
      {"d_weight", offsetof(packproof_rms_norm_bwd_args, d_weight)}}},
    {Op::kL2Norm,
     Direction::kForward,
     sizeof(packproof_l2norm_fwd_args),
     {{"x", offsetof(packproof_l2norm_fwd_args, x)},
      {"output", offsetof(packproof_l2norm_fwd_args, output)}}},
    {Op::kL2Norm,
     Direction::kBackward,
     sizeof(packproof_l2norm_bwd_args),
     {{"x", offsetof(packproof_l2norm_bwd_args, x)},
      {"d_output", offsetof(packproof_l2norm_bwd_args, d_output)},
      {"d_x", offsetof(packproof_l2norm_bwd_args, d_x)}}},
    {Op::kDeltaRuleGate,
     Direction::kForward,
     sizeof(packproof_delta_rule_gate_fwd_args),
     {{"a", offsetof(packproof_delta_rule_gate_fwd_args, a)},
      {"b", offsetof(packproof_delta_rule_gate_fwd_args, b)},
      {"A_log", offsetof(packproof_delta_rule_gate_fwd_args, A_log)},
      {"dt_bias", offsetof(packproof_delta_rule_gate_fwd_args, dt_bias)},
      {"g", offsetof(packproof_delta_rule_gate_fwd_args, g)},
      {"beta", offsetof(packproof_delta_rule_gate_fwd_args, beta)}}},
    {Op::kDeltaRuleGate,
     Direction::kBackward,
     sizeof(packproof_delta_rule_gate_bwd_args),
     {{"a", offsetof(packproof_delta_rule_gate_bwd_args, a)},
      {"b", offsetof(packproof_delta_rule_gate_bwd_args, b)},
      {"A_log", offsetof(packproof_delta_rule_gate_bwd_args, A_log)},
      {"dt_bias", offsetof(packproof_delta_rule_gate_bwd_args, dt_bias)},
      {"d_g", offsetof(packproof_delta_rule_gate_bwd_args, d_g)},
      {"d_beta", offsetof(packproof_delta_rule_gate_bwd_args, d_beta)},
      {"d_a", offsetof(packproof_delta_rule_gate_bwd_args, d_a)},
      {"d_b", offsetof(packproof_delta_rule_gate_bwd_args, d_b)},
      {"d_A_log", offsetof(packproof_delta_rule_gate_bwd_args, d_A_log)},
      {"d_dt_bias", offsetof(packproof_delta_rule_gate_bwd_args, d_dt_bias)}}},
    {Op::kRope,
     Direction::kForward,
     sizeof(packproof_rope_fwd_args),
     {{"x", offsetof(packproof_rope_fwd_args, x)},
      {"position_ids", offsetof(packproof_rope_fwd_args, position_ids)},
      {"output", offsetof(packproof_rope_fwd_args, output)}}},
    {Op::kRope,
     Direction::kBackward,
     sizeof(packproof_rope_bwd_args),
     {{"position_ids", offsetof(packproof_rope_bwd_args, position_ids)},
      {"d_output", offsetof(packproof_rope_bwd_args, d_output)},
      {"d_x", offsetof(packproof_rope_bwd_args, d_x)}}},
    {Op::kVarlenAttention,
     Direction::kForward,
     sizeof(packproof_varlen_attention_fwd_args),
     {{"q", offsetof(packproof_varlen_attention_fwd_args, q)},
      {"k", offsetof(packproof_varlen_attention_fwd_args, k)},
      {"v", offsetof(packproof_varlen_attention_fwd_args, v)},
      {"output", offsetof(packproof_varlen_attention_fwd_args, output)},
      {"lse", offsetof(packproof_varlen_attention_fwd_args, lse)}}},
    {Op::kVarlenAttention,
     Direction::kBackward,
     sizeof(packproof_varlen_attention_bwd_args),
     {{"q", offsetof(packproof_varlen_attention_bwd_args, q)},
      {"k", offsetof(packproof_varlen_attention_bwd_args, k)},
      {"v", offsetof(packproof_varlen_attention_bwd_args, v)},
      {"output", offsetof(packproof_varlen_attention_bwd_args, output)},
      {"lse", offsetof(packproof_varlen_attention_bwd_args, lse)},
      {"d_output", offsetof(packproof_varlen_attention_bwd_args, d_output)},
      {"d_q", offsetof(packproof_varlen_attention_bwd_args, d_q)},
      {"d_k", offsetof(packproof_varlen_attention_bwd_args, d_k)},
      {"d_v", offsetof(packproof_varlen_attention_bwd_args, d_v)}}},
    {Op::kOutputGate,
     Direction::kForward,
     sizeof(packproof_output_gate_fwd_args),
     {{"x", offsetof(packproof_output_gate_fwd_args, x)},
      {"gate", offsetof(packproof_output_gate_fwd_args, gate)},
      {"output", offsetof(packproof_output_gate_fwd_args, output)}}},
    {Op::kOutputGate,
     Direction::kBackward,
     sizeof(packproof_output_gate_bwd_args),
     {{"x", offsetof(packproof_output_gate_bwd_args, x)},
      {"gate", offsetof(packproof_output_gate_bwd_args, gate)},
      {"d_output", offsetof(packproof_output_gate_bwd_args, d_output)},
      {"d_x", offsetof(packproof_output_gate_bwd_args, d_x)},
      {"d_gate", offsetof(packproof_output_gate_bwd_args, d_gate)}}},
    {Op::kSwiGlu,
     Direction::kForward,
     sizeof(packproof_swiglu_fwd_args),
     {{"gate", offsetof(packproof_swiglu_fwd_args, gate)},
      {"up", offsetof(packproof_swiglu_fwd_args, up)},
      {"output", offsetof(packproof_swiglu_fwd_args, output)}}},
    {Op::kSwiGlu,
     Direction::kBackward,
     sizeof(packproof_swiglu_bwd_args),
     {{"gate", offsetof(packproof_swiglu_bwd_args, gate)},
      {"up", offsetof(packproof_swiglu_bwd_args, up)},
      {"d_output", offsetof(packproof_swiglu_bwd_args, d_output)},
      {"d_gate", offsetof(packproof_swiglu_bwd_args, d_gate)},
      {"d_up", offsetof(packproof_swiglu_bwd_args, d_up)}}},
};

bool is_metadata(std::string_view name) {
  return name == "cu_seqlens" || name == "seq_idx" || name == "state_indices";
}

/// A call with every tensor of the schema, each of another shape.
OpCall full_call(Op op, Direction direction) {
  OpCall call;
  call.op = op;
  call.direction = direction;
  int64_t size = 2;
  for (const TensorSchema& row : schema_of(op, direction)) {
    const std::string name(row.name);
    if (row.output) {
      const auto both = call.inputs.find(name);
      call.outputs[name] = both == call.inputs.end()
                               ? OutputSpec{DType::kBF16, {1, ++size, 5}, {}}
                               : OutputSpec{both->second.dtype(), both->second.shape(), {}};
    } else if (is_metadata(name)) {
      call.inputs.emplace(name, Tensor(DType::kI32, {++size}));
    } else {
      call.inputs.emplace(name, Tensor(DType::kF16, {1, ++size, 3}));
    }
  }
  return call;
}

template <typename T>
T at_offset(const void* block, std::size_t offset) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(block) + offset, sizeof value);
  return value;
}

void expect_same(const packproof_tensor& left, const packproof_tensor& right) {
  EXPECT_EQ(left.data, right.data);
  EXPECT_EQ(left.rank, right.rank);
  EXPECT_EQ(left.dtype, right.dtype);
  for (int axis = 0; axis < PACKPROOF_MAX_RANK; ++axis) {
    EXPECT_EQ(left.shape[axis], right.shape[axis]);
    EXPECT_EQ(left.stride[axis], right.stride[axis]);
  }
}

TEST(AbiBinding, EveryTensorOfEverySchemaStandsInItsMember) {
  int bound = 0;
  for (const StructLayout& layout : kLayouts) {
    SCOPED_TRACE(std::string(name_of(layout.op)) + " " + std::string(name_of(layout.direction)));
    const OpCall call = full_call(layout.op, layout.direction);
    HostDevice device;
    const Result<CallBuffers> buffers = CallBuffers::make(device, call, {});
    ASSERT_TRUE(buffers.ok()) << buffers.error().message;
    const Result<ArgumentBlock> block = bind_arguments(call, *buffers);
    ASSERT_TRUE(block.ok()) << block.error().message;
    EXPECT_EQ(at_offset<std::size_t>(block->get(), 0), layout.size);
    for (const TensorSchema& row : schema_of(layout.op, layout.direction)) {
      if (row.name == "cu_seqlens" || row.name == "seq_idx") continue;  // Packing: below.
      SCOPED_TRACE(std::string(row.name));
      const auto member = layout.offsets.find(std::string(row.name));
      ASSERT_NE(member, layout.offsets.end());
      const packproof_tensor tensor = at_offset<packproof_tensor>(block->get(), member->second);
      EXPECT_NE(tensor.data, nullptr);
      expect_same(tensor, buffers->tensor(row.name));
      ++bound;
    }
  }
  EXPECT_GT(bound, 130);
}

TEST(AbiBinding, LayoutsCoverEveryOpAndDirection) {
  std::size_t directions = 0;
  for (const Op op : all_ops()) {
    directions += schema_of(op, Direction::kForward).empty() ? 0 : 1;
    directions += schema_of(op, Direction::kBackward).empty() ? 0 : 1;
  }
  EXPECT_EQ(directions, std::size(kLayouts));
}

/// Binds a call to an argument struct and keeps what it points into.
template <typename Args>
struct Bound {
  explicit Bound(OpCall bound_call) : call(std::move(bound_call)) {
    Result<CallBuffers> made = CallBuffers::make(device, call, {});
    EXPECT_TRUE(made.ok());
    buffers = std::make_unique<CallBuffers>(std::move(*made));
    Result<ArgumentBlock> result = bind_arguments(call, *buffers);
    EXPECT_TRUE(result.ok());
    block = *result;
  }

  const Args& args() const { return *static_cast<const Args*>(block.get()); }

  OpCall call;
  HostDevice device;
  std::unique_ptr<CallBuffers> buffers;
  ArgumentBlock block;
};

TEST(AbiBinding, PackingFollowsCuSeqlens) {
  OpCall call;
  call.op = Op::kCausalConv1d;
  call.inputs.emplace("x", Tensor(DType::kF32, {1, 9, 4}));
  const int64_t bounds[] = {0, 3, 3, 7};
  call.inputs.emplace("cu_seqlens", Tensor::from_ints(DType::kI64, {4}, bounds));
  call.attributes.max_seqlen = 4;
  call.attributes.activation = Activation::kNone;
  const Bound<packproof_causal_conv1d_fwd_args> bound(call);
  const packproof_packing& packing = bound.args().packing;
  EXPECT_EQ(packing.num_seqs, 3);
  EXPECT_EQ(packing.total_tokens, 9);
  EXPECT_EQ(packing.max_seqlen, 4);
  EXPECT_EQ(packing.cu_seqlens_dtype, PACKPROOF_I64);
  EXPECT_EQ(static_cast<const int64_t*>(packing.cu_seqlens)[3], 7);
  EXPECT_EQ(static_cast<const int64_t*>(packing.cu_seqlens_host)[3], 7);
  EXPECT_NE(packing.cu_seqlens, packing.cu_seqlens_host);
  EXPECT_EQ(packing.seq_idx, nullptr);
  EXPECT_EQ(packing.seq_idx_host, nullptr);
  EXPECT_EQ(bound.args().activation, PACKPROOF_NONE);
  EXPECT_EQ(bound.args().bias.data, nullptr);
  EXPECT_EQ(bound.args().bias.rank, 0);
}

TEST(AbiBinding, PackingFollowsSeqIdxWithoutCuSeqlens) {
  OpCall call;
  call.op = Op::kCausalConv1d;
  call.inputs.emplace("x", Tensor(DType::kF32, {1, 6, 4}));
  const int64_t ids[] = {0, 0, 2, 2, -1, -1};
  call.inputs.emplace("seq_idx", Tensor::from_ints(DType::kI32, {1, 6}, ids));
  const Bound<packproof_causal_conv1d_fwd_args> bound(call);
  EXPECT_EQ(bound.args().packing.num_seqs, 3);
  EXPECT_EQ(bound.args().packing.cu_seqlens, nullptr);
  EXPECT_EQ(bound.args().packing.seq_idx[2], 2);
  EXPECT_EQ(bound.args().packing.seq_idx_host[4], -1);
  EXPECT_EQ(bound.args().activation, PACKPROOF_SILU);
}

TEST(AbiBinding, PackingOfADenseBatchIsItsRows) {
  OpCall call;
  call.op = Op::kVarlenAttention;
  call.inputs.emplace("q", Tensor(DType::kF32, {5, 7, 2, 4}));
  call.attributes.scale = 0.25;
  const Bound<packproof_varlen_attention_fwd_args> bound(call);
  EXPECT_EQ(bound.args().packing.num_seqs, 5);
  EXPECT_EQ(bound.args().packing.total_tokens, 35);
  EXPECT_EQ(bound.args().scale, 0.25f);
}

TEST(AbiBinding, ScalarsArrive) {
  OpCall rule;
  rule.op = Op::kChunkGatedDeltaRule;
  rule.direction = Direction::kBackward;
  rule.attributes.scale = 0.5;
  rule.attributes.qk_l2norm = false;
  rule.attributes.chunk_size = 32;
  const Bound<packproof_gated_delta_rule_bwd_args> bound_rule(rule);
  EXPECT_EQ(bound_rule.args().scale, 0.5f);
  EXPECT_EQ(bound_rule.args().qk_l2norm, 0);
  EXPECT_EQ(bound_rule.args().chunk_size, 32);

  OpCall norm;
  norm.op = Op::kGatedRmsNorm;
  norm.attributes.eps = 0.125;
  EXPECT_EQ(Bound<packproof_gated_rms_norm_fwd_args>(norm).args().eps, 0.125f);

  OpCall rope;
  rope.op = Op::kRope;
  rope.attributes.rope_theta = 1e7;
  rope.attributes.rotary_dim = 64;
  const Bound<packproof_rope_fwd_args> bound_rope(rope);
  EXPECT_EQ(bound_rope.args().theta, 1e7);
  EXPECT_EQ(bound_rope.args().rotary_dim, 64);

  OpCall update;
  update.op = Op::kRecurrentGatedDeltaRuleUpdate;
  const int64_t slots[] = {2, -1};
  update.inputs.emplace("state_indices", Tensor::from_ints(DType::kI32, {2}, slots));
  const Bound<packproof_gated_delta_rule_update_args> bound_update(update);
  EXPECT_EQ(bound_update.args().qk_l2norm, 1);
  EXPECT_EQ(bound_update.args().state_indices_host[1], -1);
  EXPECT_NE(bound_update.args().state_indices.data, bound_update.args().state_indices_host);
}

TEST(AbiBinding, RefusesWhatTheBoundaryDoesNotName) {
  HostDevice device;
  const auto refusal = [&device](const OpCall& call) {
    const Result<CallBuffers> buffers = CallBuffers::make(device, call, {});
    const Result<ArgumentBlock> block = bind_arguments(call, *buffers);
    return block.ok() ? std::string("accepted") : block.error().message;
  };
  OpCall call;
  call.op = Op::kCausalConv1dUpdate;
  call.direction = Direction::kBackward;
  EXPECT_EQ(refusal(call), "the kernel boundary has no causal_conv1d_update bwd");
  call.direction = Direction::kForward;
  EXPECT_EQ(refusal(call), "accepted");
  call.inputs.emplace("q", Tensor(DType::kF32, {1}));
  EXPECT_EQ(refusal(call), "causal_conv1d_update fwd has no input 'q'");
  call.inputs.clear();
  call.outputs["final_state"] = {DType::kF32, {1}, {}};
  EXPECT_EQ(refusal(call), "causal_conv1d_update fwd has no output 'final_state'");
}

}  // namespace
}  // namespace packproof
