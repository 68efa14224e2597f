#include "harness/worker/call_buffers.h"

#include "harness/worker/host_device.h"

#include <cstring>

#include <gtest/gtest.h>

namespace packproof {
namespace {

Tensor numbered(DType dtype, std::vector<int64_t> shape) {
  Tensor tensor(dtype, std::move(shape));
  for (int64_t i = 0; i < tensor.numel(); ++i) tensor.set(i, static_cast<double>(i + 1));
  return tensor;
}

OpCall conv_call() {
  OpCall call;
  call.op = Op::kCausalConv1d;
  call.inputs.emplace("x", numbered(DType::kF32, {1, 3, 4}));
  call.outputs["output"] = {DType::kF32, {1, 3, 4}, {20, 6, 1}};
  return call;
}

OpCall update_call() {
  OpCall call;
  call.op = Op::kCausalConv1dUpdate;
  call.inputs.emplace("conv_state", numbered(DType::kF32, {2, 4, 3}));
  call.outputs["conv_state"] = {DType::kF32, {2, 4, 3}, {}};
  return call;
}

float* floats_of(const CallBuffers& buffers, std::string_view name) {
  return static_cast<float*>(buffers.tensor(name).data);
}

CallResult collected(const CallBuffers& buffers, bool refused = false) {
  CallResult result;
  EXPECT_TRUE(buffers.collect(refused, result).ok());
  return result;
}

using Names = std::vector<std::string>;

TEST(CallBuffers, OutputsStartAsPoisonAndInputsAsTheyAre) {
  const OpCall call = conv_call();
  HostDevice device;
  for (const int poison : {0xFF, 0x00, 0x5A}) {
    CallOptions options;
    options.poison = static_cast<std::byte>(poison);
    const Result<CallBuffers> buffers = CallBuffers::make(device, call, options);
    ASSERT_TRUE(buffers.ok());
    EXPECT_EQ(floats_of(*buffers, "x")[11], 12.0f);
    const CallResult result = collected(*buffers);
    EXPECT_EQ(result.outputs.at("output").strides(), (std::vector<int64_t>{20, 6, 1}));
    for (const std::byte byte : result.outputs.at("output").bytes()) {
      EXPECT_EQ(byte, static_cast<std::byte>(poison));
    }
    EXPECT_TRUE(result.memory.written_outside.empty());
    EXPECT_TRUE(result.memory.inputs_modified.empty());
  }
}

TEST(CallBuffers, PoisonAndScheduleChooseTheGuardedEnd) {
  const OpCall call = conv_call();
  HostDevice device;
  const auto at_page_start = [&](int poison, uint64_t schedule) {
    CallOptions options;
    options.poison = static_cast<std::byte>(poison);
    options.schedule_seed = schedule;
    const Result<CallBuffers> buffers = CallBuffers::make(device, call, options);
    return reinterpret_cast<uintptr_t>(buffers->tensor("x").data) % 4096 == 0;
  };
  EXPECT_FALSE(at_page_start(0xFF, 0));
  EXPECT_TRUE(at_page_start(0x00, 0));
  EXPECT_TRUE(at_page_start(0xFF, 1));
}

TEST(CallBuffers, WritesIntoGapsAndSlackAreReported) {
  const OpCall call = conv_call();
  HostDevice device;
  const Result<CallBuffers> buffers = CallBuffers::make(device, call, {});
  ASSERT_TRUE(buffers.ok());
  float* output = floats_of(*buffers, "output");
  for (int t = 0; t < 3; ++t) {
    for (int c = 0; c < 4; ++c) output[6 * t + c] = 1.0f;
  }
  EXPECT_TRUE(collected(*buffers).memory.written_outside.empty());
  output[4] = 1.0f;
  EXPECT_EQ(collected(*buffers).memory.written_outside, Names{"output (in a gap between rows)"});
  output[-1] = 1.0f;
  EXPECT_EQ(collected(*buffers).memory.written_outside,
            (Names{"output (before its start)", "output (in a gap between rows)"}));
}

TEST(CallBuffers, AModifiedInputIsReported) {
  OpCall call = conv_call();
  const int64_t bounds[] = {0, 3};
  call.inputs.emplace("cu_seqlens", Tensor::from_ints(DType::kI32, {2}, bounds));
  HostDevice device;
  const Result<CallBuffers> buffers = CallBuffers::make(device, call, {});
  ASSERT_TRUE(buffers.ok());
  floats_of(*buffers, "x")[5] += 1.0f;
  static_cast<int32_t*>(const_cast<void*>(buffers->host_copy("cu_seqlens")))[1] = 2;
  EXPECT_EQ(collected(*buffers).memory.inputs_modified, (Names{"x", "cu_seqlens (host copy)"}));
}

TEST(CallBuffers, AnInOutTensorIsOneBuffer) {
  const OpCall call = update_call();
  HostDevice device;
  const Result<CallBuffers> buffers = CallBuffers::make(device, call, {});
  ASSERT_TRUE(buffers.ok());
  floats_of(*buffers, "conv_state")[0] = 9.0f;
  const CallResult result = collected(*buffers);
  EXPECT_TRUE(result.memory.inputs_modified.empty());
  EXPECT_EQ(result.outputs.at("conv_state").at(0), 9.0);
  EXPECT_EQ(result.outputs.at("conv_state").at(1), 2.0);
}

TEST(CallBuffers, ARefusedCallReturnsNothingAndMayHaveWrittenNothing) {
  const OpCall call = update_call();
  HostDevice device;
  const Result<CallBuffers> buffers = CallBuffers::make(device, call, {});
  ASSERT_TRUE(buffers.ok());
  EXPECT_TRUE(collected(*buffers, true).memory.written_outside.empty());
  EXPECT_TRUE(collected(*buffers, true).outputs.empty());
  floats_of(*buffers, "conv_state")[7] = 0.5f;
  EXPECT_EQ(collected(*buffers, true).memory.written_outside,
            Names{"conv_state (although the call was refused)"});
}

TEST(CallBuffers, TheWorkspaceIsGuarded) {
  const OpCall call = conv_call();
  HostDevice device;
  Result<CallBuffers> buffers = CallBuffers::make(device, call, {});
  EXPECT_EQ(*buffers->workspace(0), nullptr);
  const Result<void*> workspace = buffers->workspace(100);
  ASSERT_TRUE(workspace.ok());
  EXPECT_EQ(reinterpret_cast<uintptr_t>(*workspace) % 256, 0U);
  auto* bytes = static_cast<unsigned char*>(*workspace);
  EXPECT_EQ(bytes[99], 0xFF);
  EXPECT_TRUE(collected(*buffers).memory.written_outside.empty());
  bytes[100] = 0;
  EXPECT_EQ(collected(*buffers).memory.written_outside, Names{"workspace (after its end)"});
}

TEST(CallBuffers, RefusesWhatTheBoundaryCannotExpress) {
  HostDevice device;
  const auto refusal = [&device](const OpCall& call) {
    const Result<CallBuffers> buffers = CallBuffers::make(device, call, {});
    return buffers.ok() ? std::string("accepted") : buffers.error().message;
  };
  OpCall call = conv_call();
  call.inputs.emplace("seq_idx", Tensor(DType::kI64, {1, 3}));
  EXPECT_EQ(refusal(call), "tensor 'seq_idx': expected contiguous i32, found i64");
  call.inputs.at("seq_idx") = Tensor(DType::kI32, {1, 3}, {6, 2});
  EXPECT_EQ(refusal(call), "tensor 'seq_idx': expected contiguous i32, found i32 with gaps");
  call.inputs.at("seq_idx") = Tensor(DType::kI32, {1, 3});
  EXPECT_EQ(refusal(call), "accepted");
  call.inputs.at("x") = Tensor(DType::kF32, {1, 1, 1, 1, 1, 1});
  EXPECT_EQ(refusal(call), "tensor 'x': expected at most 5 axes, found shape [1, 1, 1, 1, 1, 1]");
  OpCall update = update_call();
  update.outputs.at("conv_state").strides = {24, 6, 2};
  EXPECT_EQ(refusal(update),
            "in-out tensor 'conv_state': expected the output as its input, f32 [2, 4, 3] with "
            "strides [12, 3, 1], found f32 [2, 4, 3] with strides [24, 6, 2]");
}

}  // namespace
}  // namespace packproof
