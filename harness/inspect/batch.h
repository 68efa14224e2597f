#pragma once

#include "harness/core/result.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace packproof {

/// One entry of a batch: integers of any width, row-major.
struct BatchField {
  std::string dtype;           ///< The file's own word: "int64", "I32", "<i4".
  std::vector<int64_t> shape;  ///< Empty for a number.
  std::vector<int64_t> values;
};

/// What a data pipeline hands to a model, by key.
using Batch = std::map<std::string, BatchField>;

/// Reads a batch from .json (an object of numbers and nested lists), .safetensors, .npz or HDF5 (.h5,
/// .hdf5: datasets of the root group). Entries that hold no integers are left out; their keys come
/// back in `skipped`. Refused are keys that give boundaries but hold no integers, and keys that
/// stand twice; JSON's null is a key that isn't given. The error names file and key, with what was
/// expected and found.
Result<Batch> read_batch(const std::filesystem::path& path, std::vector<std::string>& skipped);

// By format; read_batch chooses by the file's extension.
Result<Batch> read_json_batch(const std::filesystem::path& path, std::vector<std::string>& skipped);
Result<Batch> read_npz_batch(const std::filesystem::path& path, std::vector<std::string>& skipped);

/// No larger file is read: a batch is a few megabytes.
inline constexpr uint64_t kMaxBatchBytes = uint64_t{1} << 30;

}  // namespace packproof
