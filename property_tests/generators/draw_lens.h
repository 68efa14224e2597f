#pragma once

#include "harness/core/packing.h"

#include <cstdint>
#include <vector>

namespace packproof {

/// What a drawn packing must satisfy.
struct LensDomain {
  LayoutClass layout = LayoutClass::kRagged;
  int64_t max_tokens = 512;
  int64_t conv_width = 4;
};

/// Lengths and slack of one packing.
struct DrawnLens {
  std::vector<int64_t> lens;
  int64_t slack = 0;
};

/// Fewest tokens with which a class can be built (kEmptyFront needs none, kChunkMultiples 192).
int64_t min_tokens(LayoutClass layout);

/// Draws a packing of exactly the domain's class, by construction. Must run inside
/// `rc::gen::exec`; needs max_tokens >= min_tokens(layout), and conv_width > 2 for
/// kShorterThanConv.
DrawnLens draw_lens(const LensDomain& domain);

/// The same for update ops, where a length is 0 or 1 and slack counts unused pool slots: the classes
/// kSingle, kSingles, kSlack and the three with empty sequences.
DrawnLens draw_update_lens(const LensDomain& domain);

}  // namespace packproof
