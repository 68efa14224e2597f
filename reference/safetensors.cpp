#include "reference/safetensors.h"

#include <array>
#include <cstring>
#include <new>
#include <optional>
#include <string_view>
#include <utility>

namespace packproof::reference {
namespace {

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // The limit of the format's own library.

std::optional<DType> floating_dtype(std::string_view stored) {
  if (stored == "F64") return DType::kF64;
  if (stored == "F32") return DType::kF32;
  if (stored == "F16") return DType::kF16;
  if (stored == "BF16") return DType::kBF16;
  return std::nullopt;
}

/// The little-endian length of the header.
Result<uint64_t> read_header_length(const RegularFile& file) {
  if (file.size() < kLengthBytes) {
    return invalid_input(file.name() + ": expected 8 bytes with the header's length, found " +
                         std::to_string(file.size()) + " bytes");
  }
  std::array<std::byte, kLengthBytes> bytes{};
  PACKPROOF_CHECK_OK(file.read(0, bytes));
  uint64_t length = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;) {
    length = length << 8 | std::to_integer<uint64_t>(bytes[i]);
  }
  if (length > kMaxHeaderBytes) {
    return invalid_input(file.name() + ": expected a header of at most " +
                         std::to_string(kMaxHeaderBytes) + " bytes, found a length of " +
                         std::to_string(length));
  }
  if (length > file.size() - kLengthBytes) {
    return invalid_input(file.name() + ": expected a header of " + std::to_string(length) +
                         " bytes, found " + std::to_string(file.size() - kLengthBytes) +
                         " bytes before the end of the file");
  }
  return length;
}

}  // namespace

Result<SafetensorsFile> SafetensorsFile::open(const std::filesystem::path& path) {
  SafetensorsFile opened;
  PACKPROOF_TRY(opened.file_, RegularFile::open(path));
  const RegularFile& file = *opened.file_;
  PACKPROOF_TRY(const uint64_t length, read_header_length(file));
  PACKPROOF_TRY(const std::string header, file.read_text(kLengthBytes, length));
  opened.data_begin_ = kLengthBytes + length;
  PACKPROOF_TRY(opened.tensors_,
                parse_safetensors_header(header, file.size() - opened.data_begin_, file.name()));
  return opened;
}

Result<Tensor> SafetensorsFile::read(const std::string& name) const {
  const StoredTensor& stored = tensors_.at(name);
  const std::optional<DType> dtype = floating_dtype(stored.dtype);
  if (!dtype.has_value()) {
    return invalid_input(file_->name() + ": tensor '" + name +
                         "': expected dtype F64, F32, F16 or BF16 for a weight, found " +
                         stored.dtype);
  }
  try {
    Tensor tensor(*dtype, stored.shape);
    PACKPROOF_CHECK_OK(file_->read(data_begin_ + stored.begin, tensor.bytes()));
    if (*dtype == DType::kF64) return tensor;
    return tensor.to(DType::kF64);
  } catch (const std::bad_alloc&) {
    return infrastructure_error(file_->name() + ": tensor '" + name + "' of shape " +
                                shape_text(stored.shape) + " does not fit in memory as f64");
  }
}

bool is_integer_dtype(std::string_view dtype) {
  return dtype == "BOOL" || dtype == "U8" || dtype == "I8" || dtype == "I16" || dtype == "I32" ||
         dtype == "I64";
}

Result<std::vector<int64_t>> SafetensorsFile::read_integers(const std::string& name) const {
  const StoredTensor& stored = tensors_.at(name);
  if (!is_integer_dtype(stored.dtype)) {
    return invalid_input(file_->name() + ": tensor '" + name +
                         "': expected dtype BOOL, U8, I8, I16, I32 or I64, found " + stored.dtype);
  }
  std::vector<std::byte> bytes(stored.end - stored.begin);
  PACKPROOF_CHECK_OK(file_->read(data_begin_ + stored.begin, bytes));
  std::vector<int64_t> values;
  const auto widen = [&](auto element) {
    for (std::size_t i = 0; i + sizeof element <= bytes.size(); i += sizeof element) {
      std::memcpy(&element, bytes.data() + i, sizeof element);
      values.push_back(element);
    }
  };
  if (stored.dtype == "I64") widen(int64_t{});
  if (stored.dtype == "I32") widen(int32_t{});
  if (stored.dtype == "I16") widen(int16_t{});
  if (stored.dtype == "I8") widen(int8_t{});
  if (stored.dtype == "U8" || stored.dtype == "BOOL") widen(uint8_t{});
  return values;
}

}  // namespace packproof::reference
