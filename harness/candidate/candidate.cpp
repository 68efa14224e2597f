#include "harness/candidate/candidate.h"

namespace packproof {

const Capability* CandidateInfo::find(Op op, Direction direction) const {
  for (const Capability& capability : capabilities) {
    if (capability.op == op && capability.direction == direction) return &capability;
  }
  return nullptr;
}

CallResult Candidate::forward_model(const ModelCall&, const CallOptions&) {
  CallResult result;
  result.status = CallStatus::kNotSupported;
  result.message = info().name + " runs no whole models";
  return result;
}

std::string_view name_of(CallStatus status) {
  switch (status) {
    case CallStatus::kOk:
      return "ok";
    case CallStatus::kNotSupported:
      return "not_supported";
    case CallStatus::kInvalidArgument:
      return "invalid_argument";
    case CallStatus::kUndefinedBehaviour:
      return "undefined_behaviour";
    case CallStatus::kDeviceError:
      return "device_error";
    case CallStatus::kCrash:
      return "crash";
    case CallStatus::kTimeout:
      return "timeout";
    case CallStatus::kGarbage:
      return "garbage";
    case CallStatus::kWrongCase:
      return "wrong_case";
    case CallStatus::kStartFailed:
      return "start_failed";
  }
  return "unknown";
}

}  // namespace packproof
