#pragma once

#include "harness/core/result.h"
#include "harness/core/tensor.h"
#include "reference/regular_file.h"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace packproof::reference {

/// One tensor of a safetensors file, as its header describes it.
struct StoredTensor {
  std::string dtype;  ///< The format's own word, such as "BF16" or "I64".
  std::vector<int64_t> shape;
  uint64_t begin = 0;  ///< Byte range within the data that follow the header.
  uint64_t end = 0;
};

/// Whether a tensor's or a shard's name can stand in a message: 1 to 256 bytes, no control characters.
bool is_plain_name(std::string_view name);

/// Whether `SafetensorsFile::read_integers` reads it.
bool is_integer_dtype(std::string_view dtype);

using StoredTensors = std::map<std::string, StoredTensor>;

/// Checks a header's JSON against `data_size` bytes of data: every key once, dtypes known, byte
/// ranges as long as shape and dtype say, one after the other without overlap or hole up to the end.
Result<StoredTensors> parse_safetensors_header(std::string_view json, uint64_t data_size,
                                               const std::string& origin);

/// A regular file whose header was checked. Values are read on demand; the file stays open.
class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::filesystem::path& path);

  const StoredTensors& tensors() const { return tensors_; }

  /// F64, F32, F16 and BF16, widened to a contiguous f64 tensor. `name` must be one of `tensors()`.
  Result<Tensor> read(const std::string& name) const;

  /// BOOL, U8 and the signed integers. `name` must be one of `tensors()`.
  Result<std::vector<int64_t>> read_integers(const std::string& name) const;

 private:
  std::shared_ptr<const RegularFile> file_;
  uint64_t data_begin_ = 0;
  StoredTensors tensors_;
};

/// The tensors of a checkpoint folder, in one file or in shards that an index lists.
class SafetensorsFolder {
 public:
  /// Refuses shards that are missing, tensors that the index lists and no shard holds, and tensors
  /// that a shard holds and the index does not place there.
  static Result<SafetensorsFolder> open(const std::filesystem::path& folder);

  /// Every tensor's name with the number of its file.
  const std::map<std::string, std::size_t>& file_of() const { return file_of_; }

  const StoredTensor& stored(const std::string& name) const {
    return files_[file_of_.at(name)].tensors().at(name);
  }

  Result<Tensor> read(const std::string& name) const {
    return files_[file_of_.at(name)].read(name);
  }

 private:
  std::vector<SafetensorsFile> files_;
  std::map<std::string, std::size_t> file_of_;
};

}  // namespace packproof::reference
