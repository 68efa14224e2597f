#include "harness/candidate/message.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <gtest/gtest.h>

namespace packproof {
namespace {

/// What arrives on the other side.
Frame delivered(const OutgoingFrame& outgoing) {
  Frame frame{outgoing.header, {}};
  for (const auto& part : outgoing.payload) {
    frame.payload.insert(frame.payload.end(), part.begin(), part.end());
  }
  return frame;
}

Tensor random_tensor(std::mt19937& random) {
  constexpr DType kAll[] = {DType::kF32, DType::kF16, DType::kBF16,
                            DType::kF64, DType::kI32, DType::kI64};
  std::vector<int64_t> shape(random() % 5);
  for (int64_t& size : shape) size = static_cast<int64_t>(random() % 4);
  std::vector<int64_t> strides = contiguous_strides(shape);
  if (!strides.empty() && random() % 2 == 0) strides[0] += static_cast<int64_t>(random() % 5);
  if (!strides.empty() && random() % 4 == 0) strides[0] = 0;
  Tensor tensor(kAll[random() % 6], shape, strides);
  for (std::byte& byte : tensor.bytes()) byte = static_cast<std::byte>(random());
  return tensor;
}

TensorMap random_tensors(std::mt19937& random) {
  TensorMap tensors;
  for (const char* name : {"x", "weight", "bias", "cu_seqlens"}) {
    if (random() % 3 != 0) tensors.emplace(name, random_tensor(random));
  }
  return tensors;
}

void expect_equal(const TensorMap& left, const TensorMap& right) {
  ASSERT_EQ(left.size(), right.size());
  for (const auto& [name, tensor] : left) {
    ASSERT_TRUE(right.contains(name)) << name;
    const Tensor& other = right.at(name);
    EXPECT_EQ(tensor.dtype(), other.dtype());
    EXPECT_EQ(tensor.shape(), other.shape());
    EXPECT_EQ(tensor.strides(), other.strides());
    EXPECT_TRUE(std::ranges::equal(tensor.bytes(), other.bytes())) << name;
  }
}

CallRequest random_request(std::mt19937& random) {
  CallRequest request;
  request.id = (uint64_t{random()} << 32) | random();
  OpCall& call = request.call;
  call.op = all_ops()[random() % all_ops().size()];
  call.direction = random() % 2 == 0 ? Direction::kForward : Direction::kBackward;
  call.variant = random() % 2 == 0 ? "" : "some_variant_sm90";
  call.attributes.activation = random() % 2 == 0 ? Activation::kNone : Activation::kSilu;
  call.attributes.eps = 1.0 / static_cast<double>(1 + random());
  call.attributes.scale = std::ldexp(static_cast<double>(random()), -40);
  call.attributes.qk_l2norm = random() % 2 == 0;
  call.attributes.chunk_size = static_cast<int64_t>(random());
  call.attributes.rope_theta = 1e7 / 3;
  call.attributes.max_seqlen = static_cast<int64_t>(random()) << 20;
  call.attributes.host_metadata = random() % 2 == 0;
  call.inputs = random_tensors(random);
  for (const auto& [name, tensor] : random_tensors(random)) {
    call.outputs[name] = {tensor.dtype(), tensor.shape(), tensor.strides()};
  }
  request.options.poison = static_cast<std::byte>(random());
  request.options.schedule_seed = (uint64_t{random()} << 32) | random();
  request.options.repeats = 1 + static_cast<int64_t>(random() % 100);
  request.options.rotations = 1 + static_cast<int64_t>(random() % 4);
  request.options.replay = random() % 2 == 0;
  request.options.time_limit = std::chrono::milliseconds(random());
  return request;
}

TEST(Message, CallRoundTrip) {
  std::mt19937 random(11);
  for (int i = 0; i < 300; ++i) {
    const CallRequest sent = random_request(random);
    const Result<Request> received =
        decode_request(delivered(encode_call(sent.id, sent.call, sent.options)));
    ASSERT_TRUE(received.ok()) << received.error().message;
    const CallRequest& got = std::get<CallRequest>(*received);
    EXPECT_EQ(got.id, sent.id);
    EXPECT_EQ(got.call.op, sent.call.op);
    EXPECT_EQ(got.call.direction, sent.call.direction);
    EXPECT_EQ(got.call.variant, sent.call.variant);
    const OpAttributes& a = got.call.attributes;
    const OpAttributes& b = sent.call.attributes;
    EXPECT_EQ(a.activation, b.activation);
    EXPECT_EQ(a.eps, b.eps);
    EXPECT_EQ(a.scale, b.scale);
    EXPECT_EQ(a.qk_l2norm, b.qk_l2norm);
    EXPECT_EQ(a.chunk_size, b.chunk_size);
    EXPECT_EQ(a.rotary_dim, b.rotary_dim);
    EXPECT_EQ(a.rope_theta, b.rope_theta);
    EXPECT_EQ(a.max_seqlen, b.max_seqlen);
    EXPECT_EQ(a.host_metadata, b.host_metadata);
    expect_equal(got.call.inputs, sent.call.inputs);
    ASSERT_EQ(got.call.outputs.size(), sent.call.outputs.size());
    for (const auto& [name, spec] : sent.call.outputs) {
      EXPECT_EQ(got.call.outputs.at(name).dtype, spec.dtype);
      EXPECT_EQ(got.call.outputs.at(name).shape, spec.shape);
      EXPECT_EQ(got.call.outputs.at(name).strides, strides_of(spec));
    }
    EXPECT_EQ(got.options.poison, sent.options.poison);
    EXPECT_EQ(got.options.schedule_seed, sent.options.schedule_seed);
    EXPECT_EQ(got.options.repeats, sent.options.repeats);
    EXPECT_EQ(got.options.rotations, sent.options.rotations);
    EXPECT_EQ(got.options.replay, sent.options.replay);
    EXPECT_EQ(got.options.time_limit, sent.options.time_limit);
  }
}

TEST(Message, TensorsStartAtMultiplesOf16) {
  OpCall call;
  for (const char* name : {"a", "b", "c"}) call.inputs.emplace(name, Tensor(DType::kBF16, {3}));
  const OutgoingFrame frame = encode_call(1, call, {});
  EXPECT_EQ(frame.payload_bytes(), 16U + 16U + 6U);
  for (const char* offset : {"\"offset\":0,", "\"offset\":16,", "\"offset\":32,"}) {
    EXPECT_NE(frame.header.find(offset), std::string::npos) << frame.header;
  }
}

TEST(Message, ResultRoundTrip) {
  std::mt19937 random(12);
  CallResult sent;
  sent.variant = "naive";
  sent.seconds = 0.1;
  sent.outputs = random_tensors(random);
  sent.memory = {{"output (after its end)"}, {"x"}, true};
  const Result<ResultMessage> got = decode_result(delivered(encode_result(7, sent)));
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->id, 7U);
  EXPECT_EQ(got->result.status, CallStatus::kOk);
  EXPECT_EQ(got->result.variant, sent.variant);
  EXPECT_EQ(got->result.seconds, sent.seconds);
  expect_equal(got->result.outputs, sent.outputs);
  EXPECT_EQ(got->result.memory.written_outside, sent.memory.written_outside);
  EXPECT_EQ(got->result.memory.inputs_modified, sent.memory.inputs_modified);
  EXPECT_TRUE(got->result.memory.floating_point_mode_changed);
}

TEST(Message, RefusalRoundTripSurvivesInvalidUtf8) {
  CallResult sent;
  sent.status = CallStatus::kNotSupported;
  sent.message = "K = 3 \xff is not supported";
  const Result<ResultMessage> got = decode_result(delivered(encode_result(1, sent)));
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->result.status, CallStatus::kNotSupported);
  EXPECT_EQ(got->result.message, "K = 3 \xEF\xBF\xBD is not supported");
}

TEST(Message, HelloRoundTrip) {
  CandidateInfo sent;
  sent.name = "vendor";
  sent.version = "1.2";
  sent.device = "cuda";
  sent.identity = "abc";
  sent.bitwise_pack_invariant = true;
  sent.memory_checked = true;
  sent.notes = {"source semantics only"};
  sent.model_modes = {"both", "position_ids"};
  sent.capabilities = {{Op::kRope, Direction::kBackward, {DType::kBF16, DType::kF32}, {"a", "b"}}};
  sent.capabilities[0].limits = {.grouped_heads = false,
                                 .empty_sequences = false,
                                 .initial_state = false,
                                 .state_pool = true,
                                 .packed = false,
                                 .head_k_dims = {64, 128},
                                 .head_v_dims = {32},
                                 .max_head_k_dim = 256,
                                 .max_head_v_dim = 512};
  sent.capabilities[0].approximations = {{DType::kF32, 0x1p-11, "products in tf32"}};
  const Result<CandidateInfo> got = decode_hello(delivered(encode_hello(sent)));
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->name, sent.name);
  EXPECT_EQ(got->version, sent.version);
  EXPECT_EQ(got->device, sent.device);
  EXPECT_EQ(got->identity, sent.identity);
  EXPECT_TRUE(got->bitwise_pack_invariant);
  EXPECT_TRUE(got->memory_checked);
  EXPECT_EQ(got->notes, sent.notes);
  EXPECT_EQ(got->model_modes, sent.model_modes);
  const Capability* capability = got->find(Op::kRope, Direction::kBackward);
  ASSERT_NE(capability, nullptr);
  EXPECT_EQ(capability->dtypes, sent.capabilities[0].dtypes);
  EXPECT_EQ(capability->variants, sent.capabilities[0].variants);
  EXPECT_EQ(capability->limits, sent.capabilities[0].limits);
  EXPECT_EQ(capability->approximations, sent.capabilities[0].approximations);
  EXPECT_EQ(got->find(Op::kRope, Direction::kForward), nullptr);
}

TEST(Message, HelloAndByeRequests) {
  EXPECT_TRUE(
      std::holds_alternative<HelloRequest>(*decode_request(delivered(encode_hello_request()))));
  EXPECT_TRUE(std::holds_alternative<ByeRequest>(*decode_request(delivered(encode_bye()))));
}

std::string refusal_of(const std::string& header, std::size_t payload_bytes = 64) {
  const Result<ResultMessage> result =
      decode_result({header, std::vector<std::byte>(payload_bytes)});
  return result.ok() ? "accepted" : result.error().message;
}

std::string refusal_of_tensor(const std::string& tensor) {
  return refusal_of(R"({"type": "result", "id": 1, "status": "ok", "outputs": {"y": )" + tensor +
                    "}}");
}

TEST(Message, RefusesTensorsThatContradictThemselves) {
  EXPECT_EQ(
      refusal_of_tensor(
          R"({"dtype": "f32", "shape": [4, 4], "strides": [4, 1], "offset": 0, "bytes": 64})"),
      "accepted");
  EXPECT_EQ(
      refusal_of_tensor(
          R"({"dtype": "f32", "shape": [4, 4], "strides": [4, 1], "offset": 4, "bytes": 64})"),
      "result.outputs.y: expected bytes within the payload of 64, found offset 4 and 64 bytes");
  EXPECT_EQ(refusal_of_tensor(R"({"dtype": "f32", "shape": [2], "strides": [1],
                                  "offset": 18446744073709551615, "bytes": 8})"),
            "result.outputs.y: expected bytes within the payload of 64, found offset "
            "18446744073709551615 and 8 bytes");
  const auto begins = [](const std::string& tensor, const std::string& sentence) {
    EXPECT_EQ(refusal_of_tensor(tensor).substr(0, sentence.size()), sentence);
  };
  begins(R"({"dtype": "f32", "shape": [4, 4], "strides": [4, 1], "offset": 0, "bytes": 60})",
         "result.outputs.y.bytes: expected 64 bytes for this shape, strides and dtype, found ");
  begins(R"({"dtype": "f33", "shape": [1], "strides": [1], "offset": 0, "bytes": 4})",
         "result.outputs.y.dtype: expected one of f32 f16 bf16 f64 i32 i64, found \"f33\"");
  begins(R"({"dtype": "f32", "shape": [-1], "strides": [1], "offset": 0, "bytes": 4})",
         "result.outputs.y.shape: expected sizes >= 0 whose product fits 63 bits, found [-1]");
  begins(R"({"dtype": "f32", "shape": [4294967296, 4294967296], "strides": [0, 0], "offset": 0,
             "bytes": 4})",
         "result.outputs.y.shape: expected sizes >= 0 whose product fits 63 bits");
  begins(R"({"dtype": "f32", "shape": [2], "strides": [-1], "offset": 0, "bytes": 8})",
         "result.outputs.y.strides: expected strides >= 0, found -1");
  begins(R"({"dtype": "f32", "shape": [2], "strides": [1, 1], "offset": 0, "bytes": 8})",
         "result.outputs.y.strides: expected one stride per axis, found [1,1]");
  begins(R"({"dtype": "f32", "shape": [3], "strides": [4611686018427387904], "offset": 0,
             "bytes": 8})",
         "result.outputs.y.bytes: expected a storage of at most 8 GiB");
  begins(R"({"dtype": "f32", "shape": [1,1,1,1,1,1,1,1,1], "strides": [1,1,1,1,1,1,1,1,1],
             "offset": 0, "bytes": 4})",
         "result.outputs.y.shape: expected at most 8 axes");
  begins("7", "result.outputs.y: expected an object, found 7");
}

TEST(Message, RefusesMalformedHeaders) {
  EXPECT_EQ(refusal_of("[]"), "header: expected a JSON object, found []");
  EXPECT_EQ(refusal_of(R"({"type": "result", "type": "hello"})"),
            "header: expected every key once, found \"type\" twice");
  EXPECT_EQ(refusal_of(R"({"type": "hello"})"), "type: expected the type result, found \"hello\"");
  EXPECT_EQ(refusal_of(R"({"type": "result"})"),
            "result.id: expected an integer >= 0, found no such field");
  EXPECT_EQ(refusal_of(R"({"type": "result", "id": -1})"),
            "result.id: expected an integer >= 0, found -1");
  EXPECT_EQ(refusal_of(R"({"type": "result", "id": 1, "status": "crash"})"),
            "result.status: expected ok, not_supported, invalid_argument, undefined_behaviour or "
            "device_error, found \"crash\"");
  EXPECT_EQ(refusal_of(R"({"type": "result", "id": 1, "status": "not_supported"})"),
            "result.message: expected one sentence with a status other than ok, found \"\"");
  EXPECT_EQ(refusal_of(R"({"type": "result", "id": 1, "status": "not_supported", "message": "no",
                "outputs": {"y": {"dtype": "f32", "shape": [], "strides": [], "offset": 0,
                "bytes": 4}}})"),
            "result.outputs: expected none with status not_supported, found 1");
  EXPECT_EQ(refusal_of(std::string(100'000, '[')), "header: expected at most 32 levels of nesting");
  EXPECT_NE(refusal_of("").find("header: expected a JSON object, found "), std::string::npos);
}

// Any damage is either harmless or refused with a sentence; run under the sanitizers too.
TEST(Message, RandomCorruptionNeverCrashes) {
  std::mt19937 random(13);
  int refused = 0;
  for (int i = 0; i < 4000; ++i) {
    CallRequest request = random_request(random);
    const bool as_result = random() % 2 == 0;
    CallResult result;
    result.outputs = request.call.inputs;
    Frame frame = delivered(as_result ? encode_result(request.id, result)
                                      : encode_call(request.id, request.call, request.options));
    for (uint32_t damage = 1 + random() % 4; damage > 0; --damage) {
      const std::size_t at = random() % frame.header.size();
      switch (random() % 5) {
        case 0:
          frame.header[at] = static_cast<char>(random());
          break;
        case 1:
          frame.header.erase(at, 1 + random() % 20);
          break;
        case 2:
          frame.header.insert(at,
                              std::string(1 + random() % 3, "0123456789-[]{}\",:"[random() % 18]));
          break;
        case 3:
          frame.payload.resize(frame.payload.size() / 2);
          break;
        default:
          // A digit elsewhere in a number: the JSON stays valid, the layout does not.
          for (std::size_t k = at; k < frame.header.size(); ++k) {
            if (frame.header[k] >= '0' && frame.header[k] <= '9') {
              frame.header[k] = static_cast<char>('0' + random() % 10);
              break;
            }
          }
      }
      if (frame.header.empty()) break;
    }
    std::string sentence;
    if (as_result) {
      const Result<ResultMessage> decoded = decode_result(frame);
      if (decoded.ok()) continue;
      sentence = decoded.error().message;
    } else {
      const Result<Request> decoded = decode_request(frame);
      if (decoded.ok()) continue;
      sentence = decoded.error().message;
    }
    ++refused;
    EXPECT_NE(sentence.find("expected"), std::string::npos) << sentence;
  }
  EXPECT_GT(refused, 2000);
}

TEST(Message, ANonFiniteAttributeIsRefusedByTheReceiver) {
  OpCall call;
  call.attributes.scale = std::numeric_limits<double>::infinity();
  const Result<Request> request = decode_request(delivered(encode_call(1, call, {})));
  ASSERT_FALSE(request.ok());
  EXPECT_EQ(request.error().message, "call.attributes.scale: expected a number, found null");
}

}  // namespace
}  // namespace packproof
