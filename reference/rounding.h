#pragma once

#include <cstdint>

namespace packproof::reference {

/// Formats that a kernel may hold an intermediate value in.
enum class Format : uint8_t {
  kExact,  ///< Not rounded: double.
  kFloat32,
  kTf32,  ///< Eight exponent bits as float32, ten mantissa bits.
  kBFloat16,
  kFloat16,
};

/// To nearest, ties to even; overflow becomes infinity.
double round_to(Format format, double value);

/// Where an evaluation of the delta rule rounds, by the name of what is rounded.
struct DeltaRuleRounding {
  Format normalised = Format::kExact;  ///< q and k after the l2norm.
  Format gate = Format::kExact;        ///< Decays and their running sums.
  Format operand = Format::kExact;     ///< Factors of matrix products inside a chunk: A, W, U,
                                       ///< corrections, scores, and the entry state's copy.
  Format state = Format::kExact;       ///< The state after a token or a chunk.
  Format output = Format::kExact;
};

}  // namespace packproof::reference
