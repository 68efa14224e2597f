#include "reference/json_strict.h"
#include "reference/safetensors.h"

#include <system_error>
#include <utility>

namespace packproof::reference {
namespace {

using nlohmann::json;

constexpr uint64_t kMaxIndexBytes = 100'000'000;

/// Tensor name -> shard's file name.
Result<std::map<std::string, std::string>> read_weight_map(const std::filesystem::path& path) {
  const std::string origin = path.string();
  PACKPROOF_TRY(const std::string text, read_text_file(path, kMaxIndexBytes));
  PACKPROOF_TRY(const json index, parse_strict_json(text, origin));
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    return invalid_input(origin + ": expected an object with a weight_map of tensor names, found " +
                         json_text(index));
  }
  std::map<std::string, std::string> shards;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    // A shard is a plain name, so that an index cannot reach outside its folder.
    const std::string name = shard.is_string() ? shard.get<std::string>() : std::string();
    if (!is_plain_name(tensor) || !is_plain_name(name) || name == ".." ||
        name.find('/') != std::string::npos) {
      return invalid_input(origin + ": weight_map[" + json_text(tensor) +
                           "]: expected the name of a file in the same folder, found " +
                           json_text(shard));
    }
    shards[tensor] = name;
  }
  return shards;
}

bool is_present(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::exists(path, ignored);
}

}  // namespace

Result<SafetensorsFolder> SafetensorsFolder::open(const std::filesystem::path& folder) {
  SafetensorsFolder opened;
  const std::filesystem::path single = folder / "model.safetensors";
  const std::filesystem::path index = folder / "model.safetensors.index.json";
  if (is_present(single) || !is_present(index)) {
    if (!is_present(single)) {
      return usage_error(folder.string() +
                         ": expected model.safetensors or model.safetensors.index.json, found "
                         "neither");
    }
    PACKPROOF_TRY(SafetensorsFile file, SafetensorsFile::open(single));
    for (const auto& [name, stored] : file.tensors()) opened.file_of_[name] = 0;
    opened.files_.push_back(std::move(file));
    return opened;
  }

  PACKPROOF_TRY(const auto shard_of, read_weight_map(index));
  std::map<std::string, std::size_t> number_of_shard;
  for (const auto& [tensor, shard] : shard_of) {
    auto number = number_of_shard.find(shard);
    if (number == number_of_shard.end()) {
      if (!is_present(folder / shard)) {
        return invalid_input(index.string() + ": expected the shard '" + shard +
                             "' in the folder, found no such file");
      }
      PACKPROOF_TRY(SafetensorsFile file, SafetensorsFile::open(folder / shard));
      number = number_of_shard.emplace(shard, opened.files_.size()).first;
      opened.files_.push_back(std::move(file));
    }
    if (!opened.files_[number->second].tensors().contains(tensor)) {
      return invalid_input(index.string() + ": expected tensor '" + tensor + "' in shard '" +
                           shard + "', found none there");
    }
    opened.file_of_[tensor] = number->second;
  }
  for (const auto& [shard, number] : number_of_shard) {
    for (const auto& [tensor, stored] : opened.files_[number].tensors()) {
      const auto listed = shard_of.find(tensor);
      if (listed == shard_of.end() || listed->second != shard) {
        return invalid_input(index.string() + ": expected every tensor of shard '" + shard +
                             "' to be listed in it, found '" + tensor + "' " +
                             (listed == shard_of.end() ? "missing from the list"
                                                       : "listed in '" + listed->second + "'"));
      }
    }
  }
  return opened;
}

}  // namespace packproof::reference
