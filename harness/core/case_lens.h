#pragma once

#include "harness/core/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace packproof {

/// "0,3,64x2": lengths in order, `LxN` for N >= 2 equal lengths in a row.
std::string print_lens(const std::vector<int64_t>& lens);

/// Bounded before anything is expanded: `kMaxSequences` sequences, `kMaxCaseTokens` tokens. The
/// message says what is accepted, without the field's name.
Status parse_lens(std::string_view text, std::vector<int64_t>& lens);

}  // namespace packproof
