#pragma once

#include "harness/core/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace packproof {

using Json = nlohmann::json;

/// A JSON object of a message together with its path, for sentences such as
/// "result.outputs.output.bytes: expected 64, found 60".
struct JsonObject {
  const Json* json;
  std::string where;

  const Json* find(std::string_view key) const;

  std::string path(std::string_view key) const { return where + "." + std::string(key); }
};

/// "WHERE: expected EXPECTED, found VALUE", the value shortened.
Error field_error(const std::string& where, std::string_view expected, const Json& value);

/// Parses a header: one object, no key twice (the library keeps one silently), bounded depth.
Result<Json> parse_header(const std::string& text);

/// Reads a required field of exactly the target's kind: text, true/false, number, integers, lists.
Status read(const JsonObject& object, std::string_view key, std::string& target);
Status read(const JsonObject& object, std::string_view key, bool& target);
Status read(const JsonObject& object, std::string_view key, double& target);
Status read(const JsonObject& object, std::string_view key, uint64_t& target);
Status read(const JsonObject& object, std::string_view key, int64_t& target);
Status read(const JsonObject& object, std::string_view key, std::vector<std::string>& target);
Status read(const JsonObject& object, std::string_view key, std::vector<int64_t>& target);

Result<JsonObject> read_object(const JsonObject& parent, std::string_view key);

/// The objects of an optional array field.
Result<std::vector<JsonObject>> read_objects(const JsonObject& parent, std::string_view key);

/// Leaves the target as it is when the field is absent.
template <typename T>
Status read_optional(const JsonObject& object, std::string_view key, T& target) {
  return object.find(key) == nullptr ? Status() : read(object, key, target);
}

/// A string field that `parse` (a `*_from_name` function) knows.
template <typename T>
Result<T> read_name(const JsonObject& object, std::string_view key, std::string_view expected,
                    std::optional<T> (*parse)(std::string_view)) {
  std::string name;
  PACKPROOF_CHECK_OK(read(object, key, name));
  if (const std::optional<T> value = parse(name)) return *value;
  return field_error(object.path(key), expected, *object.find(key));
}

}  // namespace packproof
