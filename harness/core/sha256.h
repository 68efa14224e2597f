#pragma once

#include "harness/core/result.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace packproof {

/// SHA-256 (FIPS 180-4), for identities and integrity, in pieces or at once.
class Sha256 {
 public:
  void update(std::span<const std::byte> data);

  /// 64 lower-case hexadecimal digits. Ends the computation: nothing may follow.
  std::string hex_digest();

 private:
  void process_block(const std::byte* block);

  std::array<uint32_t, 8> state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::byte, 64> pending_{};
  uint64_t total_bytes_ = 0;
};

std::string sha256_hex(std::span<const std::byte> data);

/// kUsage when the file can't be read.
Result<std::string> sha256_of_file(const std::string& path);

}  // namespace packproof
