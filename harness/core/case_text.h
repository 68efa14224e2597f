#pragma once

#include "harness/core/case_spec.h"
#include "harness/core/result.h"

#include <string>
#include <string_view>

namespace packproof {

/// The canonical case line: `op=... dtype=... lens=0,3,64x2 ...`, fields in declaration order,
/// defaults omitted except op, dtype, lens and seed. A run of `count` equal lengths prints as
/// `lengthxcount`.
std::string to_text(const CaseSpec& spec);

/// Parses a case line: fields in any order, each at most once, defaults for what is missing.
/// Parse and print are inverse: parse(to_text(s)) == s for every valid s. A field that the op does
/// not use must be absent or have its default. Errors name the field, the text found and what is
/// accepted.
Result<CaseSpec> parse_case(std::string_view text);

}  // namespace packproof
