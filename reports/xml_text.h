#pragma once

#include <string>
#include <string_view>

namespace packproof {

/// Text that may stand in an XML 1.0 attribute or element: markup is escaped, line ends and tabs
/// become character references, and what XML forbids (other control characters, bytes that are not
/// UTF-8, U+FFFE, U+FFFF) becomes U+FFFD.
std::string xml_text(std::string_view text);

}  // namespace packproof
