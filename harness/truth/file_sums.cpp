#include "harness/truth/file_sums.h"

#include "harness/core/sha256.h"

#include <fstream>
#include <string>
#include <system_error>

namespace packproof {

Result<int64_t> check_file_sums(const std::filesystem::path& folder) {
  const std::filesystem::path list = folder / "SHA256SUMS";
  std::error_code code;
  if (!std::filesystem::exists(list, code)) return int64_t{0};
  std::ifstream stream(list);
  int64_t count = 0;
  constexpr std::size_t kDigits = 64;
  for (std::string line; std::getline(stream, line);) {
    if (line.size() < kDigits + 3 || line.compare(kDigits, 2, "  ") != 0)
      return invalid_input(list.string() + ": line " + std::to_string(count + 1) +
                           ": expected a SHA-256, two blanks and a path");
    const std::filesystem::path path = folder / line.substr(kDigits + 2);
    PACKPROOF_TRY(const std::string sum, sha256_of_file(path.string()));
    if (sum != line.substr(0, kDigits))
      return invalid_input(path.string() + ": expected SHA-256 " + line.substr(0, kDigits) +
                           " as listed in SHA256SUMS, found " + sum);
    ++count;
  }
  return count;
}

}  // namespace packproof
