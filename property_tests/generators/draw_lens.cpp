#include "property_tests/generators/draw_lens.h"

#include "harness/core/case_spec.h"
#include "harness/core/random_stream.h"
#include "property_tests/generators/draw_number.h"

#include <algorithm>

namespace packproof {
namespace {

constexpr int64_t kChunk = kCaseChunkSize;
constexpr int64_t kManySequences = 32768;

// Lengths of [n, 14 n] with n >= kShort are never imbalanced (ratio 16) nor all below a conv width.
constexpr int64_t kShort = 9;
constexpr int64_t kSpread = 14;

using Lens = std::vector<int64_t>;

/// A length of [1, limit]: around the conv width and the chunk edges half of the time.
int64_t draw_length(int64_t limit, int64_t conv_width) {
  const int64_t kind = draw_between(0, 9);
  if (kind < 5) {
    Lens edges;
    for (const int64_t length : {int64_t{1}, conv_width - 1, conv_width, conv_width + 1,
                                 int64_t{15}, int64_t{16}, int64_t{17}, kChunk - 1, kChunk,
                                 kChunk + 1, 2 * kChunk - 1, 2 * kChunk, 2 * kChunk + 1}) {
      if (length >= 1 && length <= limit) edges.push_back(length);
    }
    return draw_one_of(edges);
  }
  return draw_between(1, kind < 8 ? std::min<int64_t>(limit, 20) : limit);
}

/// A count of [low, high]: small mostly, rarely as large as allowed.
int64_t draw_count(int64_t low, int64_t high) {
  const int64_t kind = draw_between(0, 9);
  if (kind < 6) return draw_between(low, std::min(high, low + 8));
  if (kind < 9) return draw_between(low, std::min<int64_t>(high, low + 200));
  return draw_between(std::max(low, high / 2), high);
}

/// One to eight lengths within `budget` tokens; none without budget.
Lens draw_any(int64_t budget, int64_t conv_width, bool empties) {
  Lens lens;
  for (int64_t left = draw_between(1, 8); left > 0 && budget > 0; --left) {
    const bool empty = empties && draw_chance(25);
    lens.push_back(empty ? 0 : draw_length(budget, conv_width));
    budget -= lens.back();
  }
  return lens;
}

Lens draw_equal(int64_t budget, int64_t conv_width) {
  const int64_t length = std::max<int64_t>(2, draw_length(budget / 2, conv_width));
  return Lens(static_cast<std::size_t>(draw_count(2, budget / length)), length);
}

Lens draw_shorter_than_conv(int64_t budget, int64_t conv_width) {
  const int64_t longest = std::min(conv_width - 1, budget - 1);
  Lens lens{1, draw_between(2, longest)};
  budget -= lens[0] + lens[1];
  for (int64_t left = draw_between(0, 20); left > 0 && budget > 0; --left) {
    lens.push_back(draw_between(1, std::min(longest, budget)));
    budget -= lens.back();
  }
  draw_order(lens);
  return lens;
}

Lens draw_chunk_multiples(int64_t budget) {
  int64_t chunks = budget / kChunk;
  Lens lens{kChunk, kChunk * draw_between(2, std::min<int64_t>(chunks - 1, 6))};
  chunks -= 1 + lens[1] / kChunk;
  for (int64_t left = draw_between(0, 6); left > 0 && chunks > 0; --left) {
    const int64_t count = draw_between(1, std::min<int64_t>(chunks, 4));
    lens.push_back(count * kChunk);
    chunks -= count;
  }
  draw_order(lens);
  return lens;
}

/// Lengths of [1, most] by a power law: P(length > x) falls like 1/x. The first one is 1.
Lens draw_power_law(int64_t count, int64_t most) {
  const RandomStream stream(*rc::gen::arbitrary<uint64_t>(), "power law");
  Lens lens{1};
  for (int64_t n = 1; n < count; ++n) {
    const double length = std::min(1.0 / stream.at(n).uniform(), static_cast<double>(most));
    lens.push_back(static_cast<int64_t>(length));
  }
  return lens;
}

/// One giant among shorter sequences: longest over median from 16 to as far as the budget goes.
Lens draw_imbalanced(int64_t budget) {
  const int64_t most = std::min<int64_t>(draw_between(1, 4), budget / 18);
  const int64_t count = draw_count(2, std::min(kManySequences, budget / (18 * most) + 1));
  // With 16 sequences or more, a sixteenth of half the budget is left for 16 times any of them.
  Lens lens = count >= 16 && draw_chance(50)
                  ? draw_power_law(count, std::max<int64_t>(1, budget / (2 * count)))
                  : Lens(static_cast<std::size_t>(count), draw_between(1, most));
  for (const int64_t length : lens) budget -= length;
  // The giant comes last in the order, so the longer of the two middle lengths is this one.
  std::sort(lens.begin(), lens.end());
  const int64_t least = 16 * lens[static_cast<std::size_t>((count + 1) / 2)];
  // Half of the giants take all there is: with 10^4 tokens and more they reach extreme ratios.
  lens.push_back(draw_chance(50) ? budget : draw_between(least, budget));
  draw_order(lens);
  return lens;
}

/// Lengths that are neither imbalanced nor below a conv width, so that edges (or their absence)
/// decide the class. The front of the result holds at least two different long lengths.
Lens draw_balanced(int64_t budget, int64_t conv_width, bool edges) {
  const int64_t least = edges ? kChunk + 1 + kShort : 2 * kShort + 1;
  const int64_t count = draw_between(2, std::min<int64_t>(8, 2 + (budget - least) / 32));
  const int64_t high = std::clamp<int64_t>(budget / count, edges ? kChunk + 1 : kShort + 1, 4096);
  const int64_t low = std::max(kShort, high / kSpread + 1);
  const auto near_multiple = [](int64_t length) {
    return length > kChunk / 2 && std::abs(length - (length + kChunk / 2) / kChunk * kChunk) <= 1;
  };
  Lens lens;
  const auto push = [&](int64_t length) {
    // Steps of 4 leave the neighbourhood of a multiple without leaving [low, high] by much.
    while (!edges && near_multiple(length)) length -= 4;
    lens.push_back(length);
    budget -= length;
  };
  if (edges) {
    const int64_t multiple = kChunk * draw_between(1, std::max<int64_t>(1, (high - 1) / kChunk));
    push(multiple + (draw_chance(50) || multiple + 1 > high ? -1 : 1));
  } else {
    push(draw_between(low, high));
  }
  const int64_t below = lens[0] - 1;
  push(draw_between(std::min(low - 1, below), std::min(below, std::max(low - 1, budget))));
  while (static_cast<int64_t>(lens.size()) < count && budget >= low) {
    push(draw_between(low, std::min(high, budget)));
  }
  // Fewer than half: the median stays a long length.
  const auto shorts = static_cast<int64_t>(lens.size()) - 2;
  for (int64_t n = 0; n < shorts && budget > 0 && draw_chance(50); ++n) {
    const int64_t length = draw_length(std::min<int64_t>(budget, 20), conv_width);
    lens.push_back(length);
    budget -= length;
  }
  draw_order(lens);
  return lens;
}

Lens draw_empties(LayoutClass layout, int64_t budget, int64_t conv_width) {
  const auto zeros = static_cast<std::size_t>(draw_between(1, 3));
  Lens lens;
  if (layout == LayoutClass::kEmptyFront) {
    lens.assign(zeros, 0);
    if (draw_chance(90)) {
      const Lens rest = draw_any(budget, conv_width, true);
      lens.insert(lens.end(), rest.begin(), rest.end());
    }
    return lens;
  }
  const int64_t reserved = layout == LayoutClass::kEmptyMiddle ? 1 : 0;
  lens.push_back(draw_length(budget - reserved, conv_width));
  budget -= lens[0] + reserved;
  const Lens inner = draw_any(budget, conv_width, true);
  lens.insert(lens.end(), inner.begin(), inner.end());
  for (const int64_t length : inner) budget -= length;
  lens.insert(lens.end(), zeros, 0);
  if (layout == LayoutClass::kEmptyMiddle) lens.push_back(draw_length(budget + 1, conv_width));
  return lens;
}

}  // namespace

int64_t min_tokens(LayoutClass layout) {
  switch (layout) {
    case LayoutClass::kEmptyFront:
      return 0;
    case LayoutClass::kSingle:
    case LayoutClass::kEmptyEnd:
    case LayoutClass::kSlack:
      return 1;
    case LayoutClass::kSingles:
    case LayoutClass::kEmptyMiddle:
      return 2;
    case LayoutClass::kShorterThanConv:
      return 3;
    case LayoutClass::kEqual:
      return 4;
    case LayoutClass::kImbalanced:
      return 18;
    case LayoutClass::kRagged:
      return 2 * kShort + 1;
    case LayoutClass::kChunkEdges:
      return kChunk + 1 + kShort;
    case LayoutClass::kChunkMultiples:
      return 3 * kChunk;
  }
  return 0;
}

DrawnLens draw_lens(const LensDomain& domain) {
  const int64_t budget = domain.max_tokens;
  const int64_t width = domain.conv_width;
  switch (domain.layout) {
    case LayoutClass::kSingle:
      return {{draw_length(budget, width)}, 0};
    case LayoutClass::kEqual:
      return {draw_equal(budget, width), 0};
    case LayoutClass::kSingles:
      return {Lens(static_cast<std::size_t>(draw_count(2, std::min(budget, kManySequences))), 1),
              0};
    case LayoutClass::kShorterThanConv:
      return {draw_shorter_than_conv(budget, width), 0};
    case LayoutClass::kChunkMultiples:
      return {draw_chunk_multiples(budget), 0};
    case LayoutClass::kChunkEdges:
      return {draw_balanced(budget, width, true), 0};
    case LayoutClass::kImbalanced:
      return {draw_imbalanced(budget), 0};
    case LayoutClass::kEmptyFront:
    case LayoutClass::kEmptyMiddle:
    case LayoutClass::kEmptyEnd:
      return {draw_empties(domain.layout, budget, width), 0};
    case LayoutClass::kSlack:
      return {draw_any(budget, width, true), draw_length(130, width)};
    case LayoutClass::kRagged:
      return {draw_balanced(budget, width, false), 0};
  }
  return {{1}, 0};
}

DrawnLens draw_update_lens(const LensDomain& domain) {
  const int64_t most = std::min(std::max<int64_t>(domain.max_tokens, 2), kManySequences);
  if (domain.layout == LayoutClass::kSingle) return {{1}, 0};
  if (domain.layout == LayoutClass::kSingles) {
    return {Lens(static_cast<std::size_t>(draw_count(2, most)), 1), 0};
  }
  // Two tokens at the ends, so that the class is decided by the empties put in.
  Lens lens{1};
  for (int64_t left = draw_between(0, std::min<int64_t>(most - 2, 12)); left > 0; --left) {
    lens.push_back(draw_chance(70) ? 1 : 0);
  }
  lens.push_back(1);
  const auto zeros = static_cast<std::size_t>(draw_between(1, 3));
  const auto middle = lens.begin() + draw_between(1, static_cast<int64_t>(lens.size()) - 1);
  if (domain.layout == LayoutClass::kEmptyFront) lens.insert(lens.begin(), zeros, 0);
  if (domain.layout == LayoutClass::kEmptyMiddle) lens.insert(middle, zeros, 0);
  if (domain.layout == LayoutClass::kEmptyEnd) lens.insert(lens.end(), zeros, 0);
  return {lens, domain.layout == LayoutClass::kSlack ? draw_between(1, 5) : 0};
}

}  // namespace packproof
