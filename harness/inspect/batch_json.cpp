#include "harness/inspect/batch.h"

#include <fstream>

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

}  // namespace

Result<Batch> read_json_batch(const std::filesystem::path& path,
                              std::vector<std::string>& skipped) {
  std::ifstream file(path);
  const Json root = Json::parse(file, nullptr, false);
  if (!root.is_object()) {
    return invalid_input(path.string() + ": expected a JSON object of keys and lists, found " +
                         (root.is_discarded() ? "no JSON" : root.type_name()));
  }
  Batch batch;
  for (const auto& [name, value] : root.items()) {
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
