#include "reports/progress.h"

#include "reports/text_layout.h"
#include "reports/utf8.h"

#include <algorithm>
#include <utility>

namespace packproof {
namespace {

constexpr std::chrono::milliseconds kRedrawInterval{100};
constexpr std::size_t kBarColumns = 24;
constexpr std::string_view kClearLine = "\r\033[K";

int64_t tenths(const ProgressState& state) {
  return state.total > 0 ? std::clamp<int64_t>(10 * state.done / state.total, 0, 10) : 0;
}

std::string bar(const TerminalStyle& style, const ProgressState& state) {
  const auto columns = static_cast<int64_t>(kBarColumns);
  const int64_t filled =
      state.total > 0 ? std::clamp<int64_t>(columns * state.done / state.total, 0, columns) : 0;
  std::string full;
  std::string rest;
  for (int64_t i = 0; i < columns; ++i) {
    (i < filled ? full : rest) +=
        style.unicode ? (i < filled ? "━" : "─") : (i < filled ? "#" : ".");
  }
  return painted(style, state.failed > 0 ? Paint::kBad : Paint::kGood, full) +
         painted(style, Paint::kDim, rest);
}

std::string counts(const ProgressState& state) {
  return state.total > 0 ? grouped(state.done) + "/" + grouped(state.total) : grouped(state.done);
}

}  // namespace

Progress::Progress(std::string label, TerminalStyle style, Sink sink)
    : label_(std::move(label)), style_(style), sink_(std::move(sink)) {}

void Progress::update(const ProgressState& state, Clock::time_point now) {
  if (style_.terminal) {
    draw_bar(state, now);
  } else {
    print_step(state);
  }
}

void Progress::finish() {
  if (!drawn_.empty()) sink_(kClearLine);
  drawn_.clear();
}

void Progress::draw_bar(const ProgressState& state, Clock::time_point now) {
  const bool complete = state.total > 0 && state.done >= state.total;
  if (!drawn_.empty() && !complete && now - drawn_at_ < kRedrawInterval) return;
  const std::string failed = state.failed > 0 ? grouped(state.failed) + " failed" : std::string();
  std::string line = label_ + "  " + bar(style_, state) + "  " + counts(state);
  std::size_t used = utf8_length(label_) + 2 + kBarColumns + 2 + counts(state).size();
  if (!failed.empty()) {
    line += "  " + painted(style_, Paint::kBad, failed);
    used += 2 + failed.size();
  }
  // A line that wraps could not be cleared, so what runs now gives way.
  const auto columns = static_cast<std::size_t>(style_.columns);
  if (!state.current.empty() && used + 2 + utf8_length(state.current) < columns) {
    line += "  " + painted(style_, Paint::kDim, state.current);
  }
  drawn_at_ = now;
  if (line == drawn_) return;
  drawn_ = line;
  sink_(std::string(kClearLine) + line);
}

void Progress::print_step(const ProgressState& state) {
  if (tenths(state) <= step_) return;
  step_ = tenths(state);
  std::string line = label_ + ": " + counts(state);
  if (state.failed > 0) line += ", " + grouped(state.failed) + " failed";
  sink_(line + "\n");
}

}  // namespace packproof
