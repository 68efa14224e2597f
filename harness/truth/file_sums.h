#pragma once

#include "harness/core/result.h"

#include <cstdint>
#include <filesystem>

namespace packproof {

/// Checks FOLDER/SHA256SUMS, the format of the program sha256sum: 64 hex digits, two blanks, a path
/// relative to the folder. Returns how many files it lists, 0 when there is no such list. A listed
/// file that is missing or differs, and a line of another form, is an error that names it.
Result<int64_t> check_file_sums(const std::filesystem::path& folder);

}  // namespace packproof
