#pragma once

#include <cstdint>

namespace packproof::simt {

/// The product of a tensor core on the host: d += a b, in float.
struct TileProduct {
  static constexpr int kRows = 16;
  static constexpr int kColumns = 8;
  static constexpr int kMaxDepth = 16;

  float a[kRows][kMaxDepth];
  float b[kMaxDepth][kColumns];
  float d[kRows][kColumns];
};

float float_of_bf16(uint32_t bits);
float float_of_f16(uint32_t bits);
float float_of_tf32(uint32_t bits);

/// Of the first `depth` columns of a and rows of b. PTX defines neither order nor rounding of the
/// sum, so there are two, picked by bit 0 of the schedule seed:
///   0: from the accumulator on, k ascending, one fused multiply-add each, rounded to nearest even;
///   1: as tensor cores are observed to do, in steps of depth / 2 products: the products, exact, and
///      the accumulator are cut towards zero at 2^-24 of the largest binade among them, added
///      exactly, and the sum is cut to float.
/// Both are exact, hence equal, where every partial sum is an integer below 2^24.
void multiply(TileProduct& product, int depth, uint64_t seed);

}  // namespace packproof::simt
