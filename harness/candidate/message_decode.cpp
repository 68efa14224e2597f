#include "harness/candidate/json_fields.h"
#include "harness/candidate/message.h"
#include "harness/candidate/tensor_fields.h"

#include <nlohmann/json.hpp>

namespace packproof {

namespace {

Status expect_type(const JsonObject& message, std::string_view type) {
  std::string actual;
  PACKPROOF_CHECK_OK(read(message, "type", actual));
  if (actual != type) return field_error("type", "the type " + std::string(type), Json(actual));
  return {};
}

Status expect_protocol(const JsonObject& message) {
  int64_t version = 0;
  PACKPROOF_CHECK_OK(read(message, "protocol", version));
  if (version != kProtocolVersion) {
    return field_error(message.path("protocol"), "version 1", Json(version));
  }
  return {};
}

std::optional<Activation> activation_from_name(std::string_view name) {
  if (name == "silu") return Activation::kSilu;
  if (name == "none") return Activation::kNone;
  return std::nullopt;
}

Result<OpAttributes> read_attributes(const JsonObject& message) {
  OpAttributes attributes;
  if (message.find("attributes") == nullptr) return attributes;
  PACKPROOF_TRY(const JsonObject object, read_object(message, "attributes"));
  if (object.find("activation") != nullptr) {
    PACKPROOF_TRY(attributes.activation, read_name<Activation>(object, "activation", "silu or none",
                                                               activation_from_name));
  }
  PACKPROOF_CHECK_OK(read_optional(object, "eps", attributes.eps));
  PACKPROOF_CHECK_OK(read_optional(object, "scale", attributes.scale));
  PACKPROOF_CHECK_OK(read_optional(object, "qk_l2norm", attributes.qk_l2norm));
  PACKPROOF_CHECK_OK(read_optional(object, "chunk_size", attributes.chunk_size));
  PACKPROOF_CHECK_OK(read_optional(object, "rotary_dim", attributes.rotary_dim));
  PACKPROOF_CHECK_OK(read_optional(object, "rope_theta", attributes.rope_theta));
  PACKPROOF_CHECK_OK(read_optional(object, "max_seqlen", attributes.max_seqlen));
  PACKPROOF_CHECK_OK(read_optional(object, "host_metadata", attributes.host_metadata));
  return attributes;
}

Status read_op(const JsonObject& object, Op& op, Direction& direction) {
  PACKPROOF_TRY(op, read_name<Op>(object, "op", "the name of an operation", op_from_name));
  PACKPROOF_TRY(direction,
                read_name<Direction>(object, "direction", "fwd or bwd", direction_from_name));
  return {};
}

Result<CallRequest> read_call(const JsonObject& message, const Frame& frame) {
  CallRequest request;
  OpCall& call = request.call;
  PACKPROOF_CHECK_OK(read(message, "id", request.id));
  PACKPROOF_CHECK_OK(read_op(message, call.op, call.direction));
  PACKPROOF_CHECK_OK(read_optional(message, "variant", call.variant));
  PACKPROOF_TRY(call.attributes, read_attributes(message));
  PACKPROOF_TRY(call.inputs, read_tensors(message, "inputs", frame));
  PACKPROOF_TRY(call.outputs, read_output_specs(message, "outputs"));
  int64_t poison = 255;
  PACKPROOF_CHECK_OK(read_optional(message, "poison", poison));
  if (poison < 0 || poison > 255) return field_error("call.poison", "a byte", Json(poison));
  request.options.poison = static_cast<std::byte>(poison);
  PACKPROOF_CHECK_OK(read_optional(message, "schedule_seed", request.options.schedule_seed));
  PACKPROOF_CHECK_OK(read_optional(message, "repeats", request.options.repeats));
  PACKPROOF_CHECK_OK(read_optional(message, "rotations", request.options.rotations));
  PACKPROOF_CHECK_OK(read_optional(message, "replay", request.options.replay));
  int64_t limit = request.options.time_limit.count();
  PACKPROOF_CHECK_OK(read_optional(message, "time_limit_ms", limit));
  request.options.time_limit = std::chrono::milliseconds(limit);
  return request;
}

Status read_limits(const JsonObject& object, CapabilityLimits& limits) {
  PACKPROOF_CHECK_OK(read_optional(object, "grouped_heads", limits.grouped_heads));
  PACKPROOF_CHECK_OK(read_optional(object, "empty_sequences", limits.empty_sequences));
  PACKPROOF_CHECK_OK(read_optional(object, "initial_state", limits.initial_state));
  PACKPROOF_CHECK_OK(read_optional(object, "state_pool", limits.state_pool));
  PACKPROOF_CHECK_OK(read_optional(object, "packed", limits.packed));
  PACKPROOF_CHECK_OK(read_optional(object, "head_k_dims", limits.head_k_dims));
  PACKPROOF_CHECK_OK(read_optional(object, "head_v_dims", limits.head_v_dims));
  PACKPROOF_CHECK_OK(read_optional(object, "max_head_k_dim", limits.max_head_k_dim));
  PACKPROOF_CHECK_OK(read_optional(object, "max_head_v_dim", limits.max_head_v_dim));
  return {};
}

Result<std::vector<Approximation>> read_approximations(const JsonObject& capability) {
  std::vector<Approximation> approximations;
  PACKPROOF_TRY(const std::vector<JsonObject> entries, read_objects(capability, "approximations"));
  for (const JsonObject& entry : entries) {
    Approximation& declared = approximations.emplace_back();
    PACKPROOF_TRY(declared.dtype, read_dtype(entry, "dtype"));
    PACKPROOF_CHECK_OK(read(entry, "unit_roundoff", declared.unit_roundoff));
    PACKPROOF_CHECK_OK(read(entry, "what", declared.what));
    if (!(declared.unit_roundoff > 0.0 && declared.unit_roundoff < 1.0)) {
      return field_error(entry.path("unit_roundoff"), "a number between 0 and 1",
                         *entry.find("unit_roundoff"));
    }
  }
  return approximations;
}

Result<Capability> read_capability(const JsonObject& object) {
  Capability capability;
  PACKPROOF_CHECK_OK(read_op(object, capability.op, capability.direction));
  std::vector<std::string> dtypes;
  PACKPROOF_CHECK_OK(read(object, "dtypes", dtypes));
  for (const std::string& name : dtypes) {
    const std::optional<DType> dtype = dtype_from_name(name);
    if (!dtype) return field_error(object.path("dtypes"), kDTypeNames, Json(name));
    capability.dtypes.push_back(*dtype);
  }
  PACKPROOF_CHECK_OK(read_optional(object, "variants", capability.variants));
  if (object.find("limits") != nullptr) {
    PACKPROOF_TRY(const JsonObject limits, read_object(object, "limits"));
    PACKPROOF_CHECK_OK(read_limits(limits, capability.limits));
  }
  PACKPROOF_TRY(capability.approximations, read_approximations(object));
  return capability;
}

std::optional<CallStatus> status_from_name(std::string_view name) {
  for (const CallStatus status :
       {CallStatus::kOk, CallStatus::kNotSupported, CallStatus::kInvalidArgument,
        CallStatus::kUndefinedBehaviour, CallStatus::kDeviceError}) {
    if (name_of(status) == name) return status;
  }
  return std::nullopt;
}

Result<MemoryReport> read_memory(const JsonObject& message) {
  MemoryReport memory;
  if (message.find("memory") == nullptr) return memory;
  PACKPROOF_TRY(const JsonObject object, read_object(message, "memory"));
  PACKPROOF_CHECK_OK(read_optional(object, "written_outside", memory.written_outside));
  PACKPROOF_CHECK_OK(read_optional(object, "inputs_modified", memory.inputs_modified));
  PACKPROOF_CHECK_OK(
      read_optional(object, "floating_point_mode_changed", memory.floating_point_mode_changed));
  return memory;
}

}  // namespace

Result<Request> decode_request(const Frame& frame) {
  PACKPROOF_TRY(const Json header, parse_header(frame.header));
  const JsonObject message{&header, "request"};
  std::string type;
  PACKPROOF_CHECK_OK(read(message, "type", type));
  if (type == "hello") {
    PACKPROOF_CHECK_OK(expect_protocol(message));
    return Request(HelloRequest{});
  }
  if (type == "bye") return Request(ByeRequest{});
  if (type != "call") return field_error("request.type", "hello, call or bye", Json(type));
  PACKPROOF_TRY(CallRequest request, read_call(JsonObject{&header, "call"}, frame));
  return Request(std::move(request));
}

Result<CandidateInfo> decode_hello(const Frame& frame) {
  PACKPROOF_TRY(const Json header, parse_header(frame.header));
  const JsonObject message{&header, "hello"};
  PACKPROOF_CHECK_OK(expect_type(message, "hello"));
  PACKPROOF_CHECK_OK(expect_protocol(message));
  CandidateInfo info;
  PACKPROOF_CHECK_OK(read(message, "name", info.name));
  PACKPROOF_CHECK_OK(read_optional(message, "version", info.version));
  PACKPROOF_CHECK_OK(read_optional(message, "device", info.device));
  PACKPROOF_CHECK_OK(read_optional(message, "identity", info.identity));
  PACKPROOF_CHECK_OK(read_optional(message, "bitwise_pack_invariant", info.bitwise_pack_invariant));
  PACKPROOF_CHECK_OK(read_optional(message, "memory_checked", info.memory_checked));
  PACKPROOF_CHECK_OK(read_optional(message, "notes", info.notes));
  PACKPROOF_CHECK_OK(read_optional(message, "model_modes", info.model_modes));
  if (message.find("capabilities") == nullptr) {
    return field_error("hello.capabilities", "an array", Json());
  }
  PACKPROOF_TRY(const std::vector<JsonObject> capabilities, read_objects(message, "capabilities"));
  for (const JsonObject& entry : capabilities) {
    PACKPROOF_TRY(Capability capability, read_capability(entry));
    info.capabilities.push_back(std::move(capability));
  }
  return info;
}

Result<ResultMessage> decode_result(const Frame& frame) {
  PACKPROOF_TRY(const Json header, parse_header(frame.header));
  const JsonObject message{&header, "result"};
  PACKPROOF_CHECK_OK(expect_type(message, "result"));
  ResultMessage decoded;
  CallResult& result = decoded.result;
  PACKPROOF_CHECK_OK(read(message, "id", decoded.id));
  PACKPROOF_TRY(result.status,
                read_name<CallStatus>(message, "status",
                                      "ok, not_supported, invalid_argument, undefined_behaviour or "
                                      "device_error",
                                      status_from_name));
  PACKPROOF_CHECK_OK(read_optional(message, "message", result.message));
  PACKPROOF_CHECK_OK(read_optional(message, "variant", result.variant));
  PACKPROOF_CHECK_OK(read_optional(message, "seconds", result.seconds));
  PACKPROOF_TRY(result.memory, read_memory(message));
  if (message.find("outputs") != nullptr) {
    PACKPROOF_TRY(result.outputs, read_tensors(message, "outputs", frame));
  }
  if (result.status == CallStatus::kOk) return decoded;
  if (result.message.empty()) {
    return field_error("result.message", "one sentence with a status other than ok",
                       Json(result.message));
  }
  if (!result.outputs.empty()) {
    return invalid_input("result.outputs: expected none with status " +
                         std::string(name_of(result.status)) + ", found " +
                         std::to_string(result.outputs.size()));
  }
  return decoded;
}

}  // namespace packproof
