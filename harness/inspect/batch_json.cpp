#include "harness/inspect/batch.h"

#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

namespace packproof {
namespace {

using Json = nlohmann::json;

/// Appends the leaves of nested lists; false when they hold something else or are ragged.
bool flatten(const Json& value, std::size_t depth, BatchField& field) {
  if (!value.is_array()) {
    if (!value.is_number_integer() && !value.is_boolean()) return false;
    field.values.push_back(value.is_boolean() ? int64_t{value.get<bool>()} : value.get<int64_t>());
    return depth == field.shape.size();
  }
  const auto size = static_cast<int64_t>(value.size());
  if (field.shape.size() == depth) {
    if (!field.values.empty()) return false;
    field.shape.push_back(size);
  }
  if (field.shape[depth] != size) return false;
  for (const Json& item : value) {
    if (!flatten(item, depth + 1, field)) return false;
  }
  return true;
}

/// Parses a file; no JSON gives a discarded value. Of a key that stands twice in one object
/// nlohmann's parser keeps the last value without a word: `twice` becomes its name.
Json parse(std::istream& file, std::string& twice) {
  std::vector<std::set<std::string>> keys;  // Of every open object.
  const auto watch = [&](int /*depth*/, Json::parse_event_t event, Json& parsed) {
    if (event == Json::parse_event_t::object_start) keys.emplace_back();
    if (event == Json::parse_event_t::object_end) keys.pop_back();
    if (event == Json::parse_event_t::key &&
        !keys.back().insert(parsed.get<std::string>()).second) {
      twice = parsed.dump();
    }
    return true;
  };
  return Json::parse(file, watch, false);
}

}  // namespace

Result<Batch> read_json_batch(const std::filesystem::path& path,
                              std::vector<std::string>& skipped) {
  std::ifstream file(path);
  std::string twice;
  const Json root = parse(file, twice);
  if (!twice.empty()) {
    return invalid_input(path.string() + ": expected every key once, found " + twice + " twice");
  }
  if (!root.is_object()) {
    return invalid_input(path.string() + ": expected a JSON object of keys and lists, found " +
                         (root.is_discarded() ? "no JSON" : root.type_name()));
  }
  Batch batch;
  for (const auto& [name, value] : root.items()) {
    if (value.is_null()) continue;  // Python's None: a key that isn't given.
    BatchField field{"integer", {}, {}};
    if (flatten(value, 0, field)) {
      batch[name] = std::move(field);
    } else if (value.is_array() && name != "metadata") {
      return invalid_input(path.string() + ": '" + name +
                           "': expected nested lists of integers, all of one length per level");
    } else {
      skipped.push_back(name);
    }
  }
  return batch;
}

}  // namespace packproof
