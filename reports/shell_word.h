#pragma once

#include <string>
#include <string_view>

namespace packproof {

/// One word of a POSIX shell whatever the text holds: as it is where no character of it could mean
/// something to a shell, else in single quotes.
std::string shell_word(std::string_view text);

}  // namespace packproof
