#include "harness/inspect/batch.h"

#include <charconv>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>

#include <zlib.h>

namespace packproof {
namespace {

/// Little-endian numbers of a byte string; zero past its end, which the checks then refuse.
template <typename Number>
Number number_at(std::string_view bytes, std::size_t place) {
  Number value{};
  if (place <= bytes.size() && sizeof value <= bytes.size() - place) {
    std::memcpy(&value, bytes.data() + place, sizeof value);
  }
  return value;
}

struct ZipEntry {
  std::string name;
  uint16_t method = 0;  ///< 0 stored, 8 deflated.
  uint64_t packed = 0;
  uint64_t size = 0;
  uint64_t header = 0;
};

constexpr uint32_t kEndOfDirectory = 0x06054b50;
constexpr uint32_t kDirectoryEntry = 0x02014b50;
constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kInZip64 = 0xffffffff;

/// numpy writes the sizes of its members into the zip64 extra field of local headers, small numbers
/// into the directory; entries that need zip64 in the directory exceed the size limit anyway.
std::optional<std::vector<ZipEntry>> directory_of(std::string_view zip) {
  constexpr std::size_t kEndBytes = 22;
  if (zip.size() < kEndBytes) return std::nullopt;
  std::size_t end = zip.size() - kEndBytes;
  while (number_at<uint32_t>(zip, end) != kEndOfDirectory) {
    if (end == 0) return std::nullopt;
    --end;
  }
  std::vector<ZipEntry> entries;
  std::size_t place = number_at<uint32_t>(zip, end + 16);
  for (int left = number_at<uint16_t>(zip, end + 10); left > 0; --left) {
    if (number_at<uint32_t>(zip, place) != kDirectoryEntry) return std::nullopt;
    const std::size_t name_bytes = number_at<uint16_t>(zip, place + 28);
    if (place + 46 + name_bytes > zip.size()) return std::nullopt;
    ZipEntry entry{std::string(zip.substr(place + 46, name_bytes)),
                   number_at<uint16_t>(zip, place + 10), number_at<uint32_t>(zip, place + 20),
                   number_at<uint32_t>(zip, place + 24), number_at<uint32_t>(zip, place + 42)};
    if (entry.packed == kInZip64 || entry.size == kInZip64) return std::nullopt;
    entries.push_back(std::move(entry));
    place += 46 + name_bytes + number_at<uint16_t>(zip, place + 30) +
             number_at<uint16_t>(zip, place + 32);
  }
  return entries;
}

std::optional<std::string> contents_of(std::string_view zip, const ZipEntry& entry) {
  if (number_at<uint32_t>(zip, entry.header) != kLocalHeader) return std::nullopt;
  const std::size_t begin = entry.header + 30 + number_at<uint16_t>(zip, entry.header + 26) +
                            number_at<uint16_t>(zip, entry.header + 28);
  if (begin > zip.size() || entry.packed > zip.size() - begin || entry.size > kMaxBatchBytes) {
    return std::nullopt;
  }
  const std::string_view packed = zip.substr(begin, entry.packed);
  if (entry.method == 0) return std::string(packed);
  if (entry.method != 8) return std::nullopt;
  std::string contents(entry.size, '\0');
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) return std::nullopt;
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(contents.data());
  stream.avail_out = static_cast<uInt>(contents.size());
  const int ended = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  if (ended != Z_STREAM_END || stream.avail_out != 0) return std::nullopt;
  return contents;
}

/// The text after `'key': ` in a .npy header.
std::string_view entry_of(std::string_view header, std::string_view key) {
  const std::size_t found = header.find(key);
  return found == std::string_view::npos ? std::string_view{} : header.substr(found + key.size());
}

int64_t element(std::string_view data, std::size_t i, char kind, std::size_t size) {
  const bool is_signed = kind == 'i';
  switch (size) {
    case 1:
      return is_signed ? int64_t{number_at<int8_t>(data, i)} : int64_t{number_at<uint8_t>(data, i)};
    case 2:
      return is_signed ? int64_t{number_at<int16_t>(data, 2 * i)}
                       : int64_t{number_at<uint16_t>(data, 2 * i)};
    case 4:
      return is_signed ? int64_t{number_at<int32_t>(data, 4 * i)}
                       : int64_t{number_at<uint32_t>(data, 4 * i)};
    default:
      return number_at<int64_t>(data, 8 * i);
  }
}

/// An array of .npy bytes (format 1 to 3). `integers` says whether it holds any.
std::optional<BatchField> parse_npy(std::string_view npy, bool& integers) {
  integers = true;
  if (npy.size() < 12 || npy.substr(0, 6) != "\x93NUMPY") return std::nullopt;
  const bool first_format = npy[6] == 1;
  const std::size_t begin = first_format ? 10 : 12;
  const std::size_t header_bytes =
      first_format ? number_at<uint16_t>(npy, 8) : number_at<uint32_t>(npy, 8);
  if (header_bytes > npy.size() - begin) return std::nullopt;
  const std::string_view header = npy.substr(begin, header_bytes);
  const std::string_view data = npy.substr(begin + header_bytes);
  const std::string_view type = entry_of(header, "'descr': '");
  if (type.size() < 3) {
    integers = false;
    return std::nullopt;
  }
  const char kind = type[1];
  const auto size = static_cast<std::size_t>(type[2] - '0');
  if ((kind != 'i' && kind != 'u' && kind != 'b') || type[0] == '>' ||
      (size != 1 && size != 2 && size != 4 && size != 8)) {
    integers = false;
    return std::nullopt;
  }
  if (entry_of(header, "'fortran_order': ").substr(0, 5) != "False") return std::nullopt;
  BatchField field{std::string(type.substr(0, 3)), {}, {}};
  std::string_view shape = entry_of(header, "'shape': (");
  uint64_t count = 1;
  while (!shape.empty() && shape.front() != ')') {
    if (shape.front() == ',' || shape.front() == ' ') {
      shape.remove_prefix(1);
      continue;
    }
    int64_t axis = 0;
    const auto [end, error] = std::from_chars(shape.data(), shape.data() + shape.size(), axis);
    if (error != std::errc() || axis < 0 || (axis > 0 && count > kMaxBatchBytes / axis)) {
      return std::nullopt;
    }
    count *= static_cast<uint64_t>(axis);
    field.shape.push_back(axis);
    shape.remove_prefix(static_cast<std::size_t>(end - shape.data()));
  }
  if (count * size != data.size()) return std::nullopt;
  for (uint64_t i = 0; i < count; ++i) field.values.push_back(element(data, i, kind, size));
  return field;
}

}  // namespace

Result<Batch> read_npz_batch(const std::filesystem::path& path, std::vector<std::string>& skipped) {
  std::ifstream file(path, std::ios::binary);
  const std::string zip((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const auto entries = directory_of(zip);
  if (!entries.has_value()) {
    return invalid_input(path.string() +
                         ": expected an archive as numpy.savez writes it, found another format");
  }
  Batch batch;
  for (const ZipEntry& entry : *entries) {
    const auto contents = contents_of(zip, entry);
    bool integers = true;
    std::optional<BatchField> field;
    if (contents.has_value()) field = parse_npy(*contents, integers);
    const std::string name = entry.name.substr(0, entry.name.rfind(".npy"));
    if (batch.contains(name)) {
      return invalid_input(path.string() + ": expected every array once, found '" + name +
                           "' twice");
    }
    if (field.has_value()) {
      batch[name] = std::move(*field);
    } else if (!integers) {
      skipped.push_back(name);
    } else {
      return invalid_input(path.string() + ": '" + entry.name +
                           "': expected a C-ordered array in numpy's format, found something else");
    }
  }
  return batch;
}

}  // namespace packproof
