#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include <rapidcheck.h>

namespace packproof {

/// A number of [low, high], both included. Inside `rc::gen::exec` only, like all of this file.
inline int64_t draw_between(int64_t low, int64_t high) {
  return *rc::gen::inRange<int64_t>(low, high + 1);
}

inline bool draw_chance(int64_t percent) { return draw_between(1, 100) > 100 - percent; }

template <typename T>
T draw_one_of(const std::vector<T>& values) {
  return values[static_cast<std::size_t>(draw_between(0, static_cast<int64_t>(values.size()) - 1))];
}

/// Fisher and Yates, with one draw per element.
template <typename T>
void draw_order(std::vector<T>& values) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1],
              values[static_cast<std::size_t>(draw_between(0, static_cast<int64_t>(i) - 1))]);
  }
}

}  // namespace packproof
