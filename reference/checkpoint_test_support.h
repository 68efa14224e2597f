#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>

/// Bytes of checkpoint files that tests write and damage.
namespace packproof::reference {

/// Little-endian words, as they stand in memory.
template <typename T>
std::string words(std::initializer_list<T> values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), std::data(values), bytes.size());
  return bytes;
}

/// A safetensors file: length, header, data.
inline std::string stored_file(std::string_view header, std::string_view data) {
  std::string bytes = words<uint64_t>({header.size()});
  bytes += header;
  bytes += data;
  return bytes;
}

inline void write_file(const std::filesystem::path& path, std::string_view bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

}  // namespace packproof::reference
