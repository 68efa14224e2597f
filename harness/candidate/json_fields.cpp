#include "harness/candidate/json_fields.h"

#include <set>

#include <nlohmann/json.hpp>

namespace packproof {

namespace {

constexpr int kMaxJsonDepth = 32;

/// What was found, short enough for a sentence.
std::string found(const Json& value) {
  constexpr std::size_t kLongest = 60;
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > kLongest) text = text.substr(0, kLongest) + "...";
  return text;
}

bool convert(const Json& value, std::string& target) {
  if (!value.is_string()) return false;
  target = value.get<std::string>();
  return true;
}

bool convert(const Json& value, bool& target) {
  if (!value.is_boolean()) return false;
  target = value.get<bool>();
  return true;
}

bool convert(const Json& value, double& target) {
  if (!value.is_number()) return false;
  target = value.get<double>();
  return true;
}

bool convert(const Json& value, uint64_t& target) {
  if (!value.is_number_unsigned()) return false;
  target = value.get<uint64_t>();
  return true;
}

bool convert(const Json& value, int64_t& target) {
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() && value.get<uint64_t>() > uint64_t{INT64_MAX}) return false;
  target = value.get<int64_t>();
  return true;
}

template <typename T>
bool convert(const Json& value, std::vector<T>& target) {
  if (!value.is_array()) return false;
  target.clear();
  for (const Json& entry : value) {
    T element{};
    if (!convert(entry, element)) return false;
    target.push_back(std::move(element));
  }
  return true;
}

template <typename T>
Status read_as(std::string_view expected, const JsonObject& object, std::string_view key,
               T& target) {
  const Json* value = object.find(key);
  if (value == nullptr) {
    return invalid_input(object.path(key) + ": expected " + std::string(expected) +
                         ", found no such field");
  }
  if (!convert(*value, target)) return field_error(object.path(key), expected, *value);
  return {};
}

}  // namespace

const Json* JsonObject::find(std::string_view key) const {
  const auto entry = json->find(key);
  return entry == json->end() ? nullptr : &*entry;
}

Error field_error(const std::string& where, std::string_view expected, const Json& value) {
  return invalid_input(where + ": expected " + std::string(expected) + ", found " + found(value));
}

Result<Json> parse_header(const std::string& text) {
  std::vector<std::set<std::string>> keys;
  std::string problem;
  const auto inspect = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxJsonDepth) problem = "header: expected at most 32 levels of nesting";
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key &&
        !keys.back().insert(parsed.get<std::string>()).second) {
      problem = "header: expected every key once, found " + found(parsed) + " twice";
    }
    return problem.empty();
  };
  try {
    Json header = Json::parse(text, inspect);
    if (!problem.empty()) return invalid_input(problem);
    if (!header.is_object()) return field_error("header", "a JSON object", header);
    return header;
  } catch (const Json::exception& error) {
    if (!problem.empty()) return invalid_input(problem);
    return invalid_input(std::string("header: expected a JSON object, found ") + error.what());
  }
}

Status read(const JsonObject& object, std::string_view key, std::string& target) {
  return read_as("a string", object, key, target);
}

Status read(const JsonObject& object, std::string_view key, bool& target) {
  return read_as("true or false", object, key, target);
}

Status read(const JsonObject& object, std::string_view key, double& target) {
  return read_as("a number", object, key, target);
}

Status read(const JsonObject& object, std::string_view key, uint64_t& target) {
  return read_as("an integer >= 0", object, key, target);
}

Status read(const JsonObject& object, std::string_view key, int64_t& target) {
  return read_as("an integer", object, key, target);
}

Status read(const JsonObject& object, std::string_view key, std::vector<std::string>& target) {
  return read_as("an array of strings", object, key, target);
}

Status read(const JsonObject& object, std::string_view key, std::vector<int64_t>& target) {
  return read_as("an array of integers", object, key, target);
}

Result<JsonObject> read_object(const JsonObject& parent, std::string_view key) {
  const Json* value = parent.find(key);
  if (value == nullptr) {
    return invalid_input(parent.path(key) + ": expected an object, found no such field");
  }
  if (!value->is_object()) return field_error(parent.path(key), "an object", *value);
  return JsonObject{value, parent.path(key)};
}

Result<std::vector<JsonObject>> read_objects(const JsonObject& parent, std::string_view key) {
  std::vector<JsonObject> objects;
  const Json* entries = parent.find(key);
  if (entries == nullptr) return objects;
  if (!entries->is_array()) return field_error(parent.path(key), "an array", *entries);
  for (std::size_t i = 0; i < entries->size(); ++i) {
    const std::string where = parent.path(key) + "[" + std::to_string(i) + "]";
    if (!(*entries)[i].is_object()) return field_error(where, "an object", (*entries)[i]);
    objects.push_back(JsonObject{&(*entries)[i], where});
  }
  return objects;
}

}  // namespace packproof
