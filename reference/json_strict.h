#pragma once

#include "harness/core/result.h"

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace packproof::reference {

/// Parses JSON (RFC 8259) and refuses what a lenient parser hides: an object that names a key twice,
/// nesting beyond 64 levels, text after the value. The sentence starts with `origin`.
Result<nlohmann::json> parse_strict_json(std::string_view text, const std::string& origin);

/// A value for messages: its JSON text, cut after 60 characters.
std::string json_text(const nlohmann::json& value);

}  // namespace packproof::reference
