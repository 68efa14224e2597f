#include "reports/terminal_style.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <string>
#include <string_view>

#include <sys/ioctl.h>
#include <unistd.h>

namespace packproof {
namespace {

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

/// The first variable that is set decides, as POSIX says.
bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    std::string value(environment(name));
    if (value.empty()) continue;
    std::ranges::transform(value, value.begin(), [](unsigned char c) { return std::tolower(c); });
    return value.find("utf-8") != std::string::npos || value.find("utf8") != std::string::npos;
  }
  return false;
}

}  // namespace

TerminalStyle terminal_style(int descriptor) {
  TerminalStyle style;
  style.unicode = locale_is_utf8();
  if (::isatty(descriptor) == 0) return style;
  const bool dumb = environment("TERM") == "dumb" || environment("TERM").empty();
  style.terminal = !dumb;
  style.colour = !dumb && environment("NO_COLOR").empty();
  winsize window{};
  if (::ioctl(descriptor, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) {
    style.columns = std::clamp<int>(window.ws_col, 40, 120);
  }
  return style;
}

}  // namespace packproof
