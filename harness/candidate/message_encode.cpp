#include "harness/candidate/message.h"

#include <array>

#include <nlohmann/json.hpp>

namespace packproof {

namespace {

using Json = nlohmann::json;

// Tensors start at multiples of this, so that a program may use them in place.
constexpr std::size_t kPayloadAlignment = 16;
constexpr std::array<std::byte, kPayloadAlignment> kPadding{};

/// Text that came from a library may be any bytes: invalid UTF-8 becomes U+FFFD.
std::string dumped(const Json& header) {
  return header.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json layout_json(DType dtype, const std::vector<int64_t>& shape,
                 const std::vector<int64_t>& strides) {
  return {{"dtype", name_of(dtype)}, {"shape", shape}, {"strides", strides}};
}

Json append_tensors(const TensorMap& tensors, OutgoingFrame& frame) {
  Json all = Json::object();
  std::size_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    if (const std::size_t past = offset % kPayloadAlignment; past != 0) {
      frame.payload.push_back(std::span(kPadding).first(kPayloadAlignment - past));
      offset += kPayloadAlignment - past;
    }
    Json entry = layout_json(tensor.dtype(), tensor.shape(), tensor.strides());
    entry["offset"] = offset;
    entry["bytes"] = tensor.bytes().size();
    all[name] = std::move(entry);
    frame.payload.push_back(tensor.bytes());
    offset += tensor.bytes().size();
  }
  return all;
}

Json attributes_json(const OpAttributes& attributes) {
  return {{"activation", attributes.activation == Activation::kSilu ? "silu" : "none"},
          {"eps", attributes.eps},
          {"scale", attributes.scale},
          {"qk_l2norm", attributes.qk_l2norm},
          {"chunk_size", attributes.chunk_size},
          {"rotary_dim", attributes.rotary_dim},
          {"rope_theta", attributes.rope_theta},
          {"max_seqlen", attributes.max_seqlen},
          {"host_metadata", attributes.host_metadata}};
}

Json limits_json(const CapabilityLimits& limits) {
  return {{"grouped_heads", limits.grouped_heads},
          {"empty_sequences", limits.empty_sequences},
          {"initial_state", limits.initial_state},
          {"state_pool", limits.state_pool},
          {"packed", limits.packed},
          {"head_k_dims", limits.head_k_dims},
          {"head_v_dims", limits.head_v_dims},
          {"max_head_k_dim", limits.max_head_k_dim},
          {"max_head_v_dim", limits.max_head_v_dim}};
}

}  // namespace

std::vector<int64_t> strides_of(const OutputSpec& spec) {
  return spec.strides.empty() ? contiguous_strides(spec.shape) : spec.strides;
}

OutgoingFrame encode_hello_request() {
  return {dumped({{"type", "hello"}, {"protocol", kProtocolVersion}}), {}};
}

OutgoingFrame encode_model_call(uint64_t id, const ModelCall& call, const CallOptions& options) {
  OutgoingFrame frame;
  frame.header = dumped({{"type", "model_forward"},
                         {"id", id},
                         {"folder", call.folder},
                         {"dtype", name_of(call.dtype)},
                         {"mode", call.mode},
                         {"gradients", call.gradients},
                         {"inputs", append_tensors(call.inputs, frame)},
                         {"time_limit_ms", options.time_limit.count()}});
  return frame;
}

OutgoingFrame encode_bye() { return {dumped({{"type", "bye"}}), {}}; }

OutgoingFrame encode_call(uint64_t id, const OpCall& call, const CallOptions& options) {
  OutgoingFrame frame;
  Json outputs = Json::object();
  for (const auto& [name, spec] : call.outputs) {
    outputs[name] = layout_json(spec.dtype, spec.shape, strides_of(spec));
  }
  frame.header = dumped({{"type", "call"},
                         {"id", id},
                         {"op", name_of(call.op)},
                         {"direction", name_of(call.direction)},
                         {"variant", call.variant},
                         {"attributes", attributes_json(call.attributes)},
                         {"inputs", append_tensors(call.inputs, frame)},
                         {"outputs", std::move(outputs)},
                         {"poison", std::to_integer<int>(options.poison)},
                         {"schedule_seed", options.schedule_seed},
                         {"repeats", options.repeats},
                         {"rotations", options.rotations},
                         {"replay", options.replay},
                         {"time_limit_ms", options.time_limit.count()}});
  return frame;
}

OutgoingFrame encode_hello(const CandidateInfo& info) {
  Json capabilities = Json::array();
  for (const Capability& capability : info.capabilities) {
    Json dtypes = Json::array();
    for (const DType dtype : capability.dtypes) dtypes.push_back(name_of(dtype));
    Json approximations = Json::array();
    for (const Approximation& declared : capability.approximations) {
      approximations.push_back({{"dtype", name_of(declared.dtype)},
                                {"unit_roundoff", declared.unit_roundoff},
                                {"what", declared.what}});
    }
    capabilities.push_back({{"op", name_of(capability.op)},
                            {"direction", name_of(capability.direction)},
                            {"dtypes", std::move(dtypes)},
                            {"variants", capability.variants},
                            {"limits", limits_json(capability.limits)},
                            {"approximations", std::move(approximations)}});
  }
  return {dumped({{"type", "hello"},
                  {"protocol", kProtocolVersion},
                  {"name", info.name},
                  {"version", info.version},
                  {"device", info.device},
                  {"identity", info.identity},
                  {"bitwise_pack_invariant", info.bitwise_pack_invariant},
                  {"memory_checked", info.memory_checked},
                  {"notes", info.notes},
                  {"model_modes", info.model_modes},
                  {"capabilities", std::move(capabilities)}}),
          {}};
}

OutgoingFrame encode_result(uint64_t id, const CallResult& result) {
  OutgoingFrame frame;
  const MemoryReport& memory = result.memory;
  frame.header = dumped({{"type", "result"},
                         {"id", id},
                         {"status", name_of(result.status)},
                         {"message", result.message},
                         {"variant", result.variant},
                         {"seconds", result.seconds},
                         {"outputs", append_tensors(result.outputs, frame)},
                         {"memory",
                          {{"written_outside", memory.written_outside},
                           {"inputs_modified", memory.inputs_modified},
                           {"floating_point_mode_changed", memory.floating_point_mode_changed}}}});
  return frame;
}

}  // namespace packproof
