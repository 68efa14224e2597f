#pragma once

#include "harness/core/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

namespace packproof::reference {

/// An open file whose bytes are read by place. Pipes, devices and folders are refused without
/// waiting on them; a file that shrinks meanwhile is an error, not a fault.
class RegularFile {
 public:
  static Result<std::shared_ptr<const RegularFile>> open(const std::filesystem::path& path);

  RegularFile(int descriptor, uint64_t size, std::string name)
      : descriptor_(descriptor), size_(size), name_(std::move(name)) {}

  RegularFile(const RegularFile&) = delete;
  RegularFile& operator=(const RegularFile&) = delete;
  ~RegularFile();

  uint64_t size() const { return size_; }

  const std::string& name() const { return name_; }

  /// Fills `target` from the bytes at `offset`.
  Status read(uint64_t offset, std::span<std::byte> target) const;

  Result<std::string> read_text(uint64_t offset, uint64_t length) const;

 private:
  int descriptor_;
  uint64_t size_;
  std::string name_;
};

/// The whole text of a file of at most `limit` bytes.
Result<std::string> read_text_file(const std::filesystem::path& path, uint64_t limit);

}  // namespace packproof::reference
