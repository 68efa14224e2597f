#pragma once

#include "harness/candidate/candidate.h"
#include "harness/candidate/frame.h"
#include "harness/core/op_call.h"
#include "harness/core/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace packproof {

inline constexpr int kProtocolVersion = 1;

/// Tensors of more axes are refused.
inline constexpr std::size_t kMaxProtocolRank = 8;

struct HelloRequest {};

struct ByeRequest {};

struct CallRequest {
  uint64_t id = 0;
  OpCall call;
  CallOptions options;
};

using Request = std::variant<HelloRequest, CallRequest, ByeRequest>;

struct ResultMessage {
  uint64_t id = 0;
  CallResult result;
};

/// The harness's side of PROTOCOL.md. Payload parts of an encoded call point into the tensors of
/// the call, so the call must outlive the frame.
OutgoingFrame encode_hello_request();
OutgoingFrame encode_call(uint64_t id, const OpCall& call, const CallOptions& options);
OutgoingFrame encode_model_call(uint64_t id, const ModelCall& call, const CallOptions& options);
OutgoingFrame encode_bye();

/// The candidate's side; payload parts point into the tensors of the result.
OutgoingFrame encode_hello(const CandidateInfo& info);
OutgoingFrame encode_result(uint64_t id, const CallResult& result);

/// Every decoder refuses, with the path of the field, what was expected and what was found:
/// malformed JSON, repeated keys, missing or mistyped fields, unknown names, tensors whose shape,
/// strides, offset or bytes contradict each other or leave the payload.
Result<Request> decode_request(const Frame& frame);
Result<CandidateInfo> decode_hello(const Frame& frame);
Result<ResultMessage> decode_result(const Frame& frame);

/// Strides of an output as they are on the wire: contiguous when the spec leaves them out.
std::vector<int64_t> strides_of(const OutputSpec& spec);

}  // namespace packproof
