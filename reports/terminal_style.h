#pragma once

namespace packproof {

/// How text may look where it goes.
struct TerminalStyle {
  bool terminal = false;  ///< Lines may be drawn anew.
  bool colour = false;
  bool unicode = true;  ///< Bars and rules outside ASCII.
  int columns = 100;    ///< At most 120, for the reader.
};

/// Of an open file descriptor: its window's width; colour unless NO_COLOR is set or TERM is "dumb";
/// Unicode if the locale's variables say UTF-8. A file or pipe gets 100 columns without colour.
TerminalStyle terminal_style(int descriptor);

}  // namespace packproof
