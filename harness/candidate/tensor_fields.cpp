#include "harness/candidate/tensor_fields.h"

#include "harness/candidate/message.h"

#include <cstring>
#include <optional>

#include <nlohmann/json.hpp>

namespace packproof {

namespace {

Result<OutputSpec> read_layout(const JsonObject& object) {
  OutputSpec layout;
  PACKPROOF_TRY(layout.dtype, read_dtype(object, "dtype"));
  PACKPROOF_CHECK_OK(read(object, "shape", layout.shape));
  PACKPROOF_CHECK_OK(read_optional(object, "strides", layout.strides));
  if (layout.shape.size() > kMaxProtocolRank) {
    return field_error(object.path("shape"), "at most 8 axes", *object.find("shape"));
  }
  if (checked_numel(layout.shape) < 0) {
    return field_error(object.path("shape"), "sizes >= 0 whose product fits 63 bits",
                       *object.find("shape"));
  }
  if (object.find("strides") == nullptr) layout.strides = contiguous_strides(layout.shape);
  if (layout.strides.size() != layout.shape.size()) {
    return field_error(object.path("strides"), "one stride per axis", *object.find("strides"));
  }
  for (const int64_t stride : layout.strides) {
    if (stride < 0) return field_error(object.path("strides"), "strides >= 0", Json(stride));
  }
  return layout;
}

/// Bytes from the first to the last reachable element; empty when they exceed the payload limit.
std::optional<uint64_t> storage_bytes(const OutputSpec& layout) {
  uint64_t last = 0;
  for (std::size_t axis = 0; axis < layout.shape.size(); ++axis) {
    if (layout.shape[axis] == 0) return 0;
    uint64_t reach = 0;
    if (__builtin_mul_overflow(static_cast<uint64_t>(layout.shape[axis] - 1),
                               static_cast<uint64_t>(layout.strides[axis]), &reach) ||
        __builtin_add_overflow(last, reach, &last) || last >= kMaxPayloadBytes) {
      return std::nullopt;
    }
  }
  const uint64_t bytes = (last + 1) * size_of(layout.dtype);
  return bytes > kMaxPayloadBytes ? std::nullopt : std::optional(bytes);
}

Result<OutputSpec> read_output_spec(const JsonObject& object) {
  PACKPROOF_TRY(OutputSpec layout, read_layout(object));
  if (!storage_bytes(layout)) {
    return field_error(object.where, "a storage of at most 8 GiB", *object.json);
  }
  return layout;
}

Result<Tensor> read_tensor(const JsonObject& object, const Frame& frame) {
  PACKPROOF_TRY(const OutputSpec layout, read_layout(object));
  uint64_t offset = 0;
  uint64_t bytes = 0;
  PACKPROOF_CHECK_OK(read(object, "offset", offset));
  PACKPROOF_CHECK_OK(read(object, "bytes", bytes));
  const std::optional<uint64_t> reachable = storage_bytes(layout);
  if (reachable != bytes) {
    const std::string expected =
        reachable ? std::to_string(*reachable) + " bytes for this shape, strides and dtype"
                  : "a storage of at most 8 GiB";
    return field_error(object.path("bytes"), expected, *object.json);
  }
  if (offset > frame.payload.size() || bytes > frame.payload.size() - offset) {
    return invalid_input(object.where + ": expected bytes within the payload of " +
                         std::to_string(frame.payload.size()) + ", found offset " +
                         std::to_string(offset) + " and " + std::to_string(bytes) + " bytes");
  }
  Tensor tensor(layout.dtype, layout.shape, layout.strides);
  if (bytes > 0) std::memcpy(tensor.bytes().data(), frame.payload.data() + offset, bytes);
  return tensor;
}

/// Reads every entry of an object field by `read_entry(const JsonObject&)`.
template <typename T, typename ReadEntry>
Result<std::map<std::string, T>> read_map(const JsonObject& parent, std::string_view key,
                                          ReadEntry read_entry) {
  PACKPROOF_TRY(const JsonObject all, read_object(parent, key));
  std::map<std::string, T> entries;
  for (const auto& [name, value] : all.json->items()) {
    if (!value.is_object()) return field_error(all.path(name), "an object", value);
    PACKPROOF_TRY(T entry, read_entry(JsonObject{&value, all.path(name)}));
    entries.emplace(name, std::move(entry));
  }
  return entries;
}

}  // namespace

Result<DType> read_dtype(const JsonObject& object, std::string_view key) {
  return read_name<DType>(object, key, kDTypeNames, dtype_from_name);
}

Result<std::map<std::string, OutputSpec>> read_output_specs(const JsonObject& parent,
                                                            std::string_view key) {
  return read_map<OutputSpec>(parent, key, read_output_spec);
}

Result<TensorMap> read_tensors(const JsonObject& parent, std::string_view key, const Frame& frame) {
  return read_map<Tensor>(parent, key,
                          [&](const JsonObject& entry) { return read_tensor(entry, frame); });
}

}  // namespace packproof
