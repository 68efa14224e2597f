#include "reference/json_strict.h"
#include "reference/safetensors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

namespace packproof::reference {
namespace {

using nlohmann::json;

struct StoredDType {
  std::string_view name;
  uint64_t bits;
};

/// The format's element types. Only floating ones of 16 bits and more can be read as weights.
constexpr std::array<StoredDType, 21> kDTypes{{
    {"BOOL", 8},    {"F4", 4},      {"F6_E2M3", 6},     {"F6_E3M2", 6}, {"U8", 8},   {"I8", 8},
    {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8},     {"I16", 16},    {"U16", 16}, {"F16", 16},
    {"BF16", 16},   {"I32", 32},    {"U32", 32},        {"F32", 32},    {"C64", 64}, {"F64", 64},
    {"I64", 64},    {"U64", 64},    {"F8_E4M3FNUZ", 8},
}};

std::optional<uint64_t> bits_of(std::string_view dtype) {
  const auto* row = std::ranges::find(kDTypes, dtype, &StoredDType::name);
  if (row == kDTypes.end()) return std::nullopt;
  return row->bits;
}

class HeaderParser {
 public:
  HeaderParser(const std::string& origin, uint64_t data_size)
      : origin_(origin), data_size_(data_size) {}

  Result<StoredTensors> parse(const json& header) const {
    if (!header.is_object()) {
      return invalid_input(origin_ + ": expected a JSON object as header, found " +
                           json_text(header));
    }
    StoredTensors tensors;
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") continue;
      if (!is_plain_name(name)) {
        return invalid_input(origin_ +
                             ": expected tensor names of 1 to 256 printable characters, found " +
                             json_text(name));
      }
      PACKPROOF_TRY(tensors[name], parse_entry(name, entry));
    }
    PACKPROOF_CHECK_OK(check_ranges(tensors));
    return tensors;
  }

 private:
  Error refusal(const std::string& name, const std::string& expected,
                const std::string& found) const {
    return invalid_input(origin_ + ": tensor '" + name + "': expected " + expected + ", found " +
                         found);
  }

  Result<StoredTensor> parse_entry(const std::string& name, const json& entry) const {
    for (const std::string_view field : {"dtype", "shape", "data_offsets"}) {
      if (!entry.is_object() || !entry.contains(field)) {
        return refusal(name, "an object with dtype, shape and data_offsets", json_text(entry));
      }
    }
    StoredTensor tensor;
    const json& dtype = entry["dtype"];
    const auto bits = dtype.is_string() ? bits_of(dtype.get_ref<const std::string&>())
                                        : std::optional<uint64_t>();
    if (!bits.has_value()) {
      return refusal(name, "a dtype of the safetensors format", json_text(dtype));
    }
    tensor.dtype = dtype.get<std::string>();
    PACKPROOF_TRY(tensor.shape, parse_shape(name, entry["shape"]));
    const json& offsets = entry["data_offsets"];
    if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
        !offsets[1].is_number_unsigned()) {
      return refusal(name, "data_offsets of two byte positions", json_text(offsets));
    }
    tensor.begin = offsets[0].get<uint64_t>();
    tensor.end = offsets[1].get<uint64_t>();
    if (tensor.begin > tensor.end || tensor.end > data_size_) {
      return refusal(
          name, "data_offsets within the file's " + std::to_string(data_size_) + " bytes of data",
          json_text(offsets));
    }
    PACKPROOF_TRY(const uint64_t size, byte_size(name, tensor.shape, *bits));
    if (tensor.end - tensor.begin != size) {
      return refusal(name,
                     std::to_string(size) + " bytes for dtype " + tensor.dtype + " and shape " +
                         shape_text(tensor.shape),
                     std::to_string(tensor.end - tensor.begin) + " in data_offsets");
    }
    return tensor;
  }

  Result<std::vector<int64_t>> parse_shape(const std::string& name, const json& shape) const {
    constexpr std::size_t kMaxRank = 8;
    const std::string expected =
        "a shape of at most " + std::to_string(kMaxRank) + " integers of at least 0";
    if (!shape.is_array() || shape.size() > kMaxRank) {
      return refusal(name, expected, json_text(shape));
    }
    std::vector<int64_t> dims;
    for (const json& dim : shape) {
      if (!dim.is_number_unsigned() ||
          dim.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        return refusal(name, expected, json_text(shape));
      }
      dims.push_back(dim.get<int64_t>());
    }
    return dims;
  }

  Result<uint64_t> byte_size(const std::string& name, const std::vector<int64_t>& shape,
                             uint64_t bits) const {
    const int64_t numel = checked_numel(shape);
    if (numel < 0 || static_cast<uint64_t>(numel) > std::numeric_limits<uint64_t>::max() / bits) {
      return refusal(name, "a shape whose size fits in 64 bits", shape_text(shape));
    }
    const uint64_t total_bits = static_cast<uint64_t>(numel) * bits;
    if (total_bits % 8 != 0) return refusal(name, "whole bytes of elements", shape_text(shape));
    return total_bits / 8;
  }

  /// Sorted by place, every range begins where the one before it ended.
  Status check_ranges(const StoredTensors& tensors) const {
    std::vector<const StoredTensors::value_type*> by_place;
    for (const auto& entry : tensors) by_place.push_back(&entry);
    std::ranges::sort(by_place, [](const auto* left, const auto* right) {
      return std::pair(left->second.begin, left->second.end) <
             std::pair(right->second.begin, right->second.end);
    });
    uint64_t covered = 0;
    for (const auto* entry : by_place) {
      if (entry->second.begin != covered) {
        return refusal(entry->first,
                       "data that begin at byte " + std::to_string(covered) +
                           ", where the tensor before it ends",
                       "byte " + std::to_string(entry->second.begin) +
                           (entry->second.begin < covered ? " (an overlap)" : " (a hole)"));
      }
      covered = entry->second.end;
    }
    if (covered != data_size_) {
      return invalid_input(origin_ + ": expected " + std::to_string(covered) +
                           " bytes of data as the header describes, found " +
                           std::to_string(data_size_));
    }
    return {};
  }

  const std::string& origin_;
  uint64_t data_size_;
};

}  // namespace

bool is_plain_name(std::string_view name) {
  constexpr std::size_t kMaxLength = 256;
  return !name.empty() && name.size() <= kMaxLength &&
         std::ranges::all_of(name, [](unsigned char c) { return c >= 0x20 && c != 0x7F; });
}

Result<StoredTensors> parse_safetensors_header(std::string_view text, uint64_t data_size,
                                               const std::string& origin) {
  PACKPROOF_TRY(const json header, parse_strict_json(text, origin + ": header"));
  return HeaderParser(origin, data_size).parse(header);
}

}  // namespace packproof::reference
