#pragma once

#include "reports/terminal_style.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace packproof {

/// How far a run is.
struct ProgressState {
  int64_t done = 0;
  int64_t total = 0;  ///< 0 when unknown.
  int64_t failed = 0;
  std::string current{};  ///< What runs now, such as an operation.

  bool operator==(const ProgressState&) const = default;
};

/// A bar that is drawn anew on a terminal, and a line at every tenth of the way elsewhere. Writes
/// nothing when nothing changed.
class Progress {
 public:
  using Sink = std::function<void(std::string_view text)>;
  using Clock = std::chrono::steady_clock;

  /// `label` stands before the bar. `sink` receives the text as it is to be written.
  Progress(std::string label, TerminalStyle style, Sink sink);

  /// Calls are cheap: a terminal is drawn ten times a second at most.
  void update(const ProgressState& state, Clock::time_point now = Clock::now());

  /// Removes the bar, so that what follows starts on a clean line.
  void finish();

 private:
  void draw_bar(const ProgressState& state, Clock::time_point now);
  void print_step(const ProgressState& state);

  std::string label_;
  TerminalStyle style_;
  Sink sink_;
  std::string drawn_;  ///< What stands on the terminal's line.
  Clock::time_point drawn_at_;
  int64_t step_ = 0;  ///< Tenths already reported where there is no terminal.
};

}  // namespace packproof
