#include "harness/worker/metadata.h"

#include "harness/core/packing.h"

#include <gtest/gtest.h>

namespace packproof {
namespace {

Tensor i32(std::vector<int64_t> shape, const std::vector<int64_t>& values) {
  Tensor tensor(DType::kI32, std::move(shape));
  for (std::size_t i = 0; i < values.size(); ++i) {
    tensor.set_int(static_cast<int64_t>(i), values[i]);
  }
  return tensor;
}

OpCall conv_of_seven_rows() {
  OpCall call;
  call.op = Op::kCausalConv1d;
  call.inputs["x"] = Tensor(DType::kF32, {1, 7, 4});
  return call;
}

std::string sentence_of(const OpCall& call) {
  const Status status = validate_metadata(call);
  return status.ok() ? "" : status.error().message;
}

TEST(Metadata, AcceptsWhatTheContractAllows) {
  OpCall call = conv_of_seven_rows();
  call.inputs["cu_seqlens"] = i32({4}, {0, 3, 3, 5});
  call.inputs["seq_idx"] = i32({1, 7}, {0, 0, 0, 2, 2, -1, -1});
  EXPECT_EQ(sentence_of(call), "");
}

TEST(Metadata, RefusesBoundariesOutsideTheRows) {
  OpCall call = conv_of_seven_rows();
  call.inputs["cu_seqlens"] = i32({3}, {0, 3, 8});
  EXPECT_NE(sentence_of(call).find("cu_seqlens: "), std::string::npos) << sentence_of(call);
  call.inputs["cu_seqlens"] = i32({3}, {0, 5, 3});
  EXPECT_NE(sentence_of(call).find("cu_seqlens: "), std::string::npos) << sentence_of(call);
}

TEST(Metadata, RefusesIdsThatGoBack) {
  OpCall call = conv_of_seven_rows();
  call.inputs["seq_idx"] = i32({1, 7}, {0, 1, 0, 2, 2, 2, 2});
  EXPECT_NE(sentence_of(call).find("seq_idx: "), std::string::npos) << sentence_of(call);
}

TEST(Metadata, RefusesSlotsOutsideThePoolAndSharedOnes) {
  OpCall call;
  call.op = Op::kCausalConv1dUpdate;
  call.inputs["x"] = Tensor(DType::kF32, {3, 4});
  call.inputs["conv_state"] = Tensor(DType::kF32, {5, 4, 3});
  call.inputs["state_indices"] = i32({3}, {4, -1, 0});
  EXPECT_EQ(sentence_of(call), "");
  call.inputs["state_indices"] = i32({3}, {5, -1, 0});
  EXPECT_EQ(sentence_of(call), "state_indices: expected slots from -1 to 4, found 5");
  call.inputs["state_indices"] = i32({3}, {2, -1, 2});
  EXPECT_EQ(sentence_of(call), "state_indices: expected every slot once, found 2 twice");
}

}  // namespace
}  // namespace packproof
