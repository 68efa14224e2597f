#include "reference/rounding.h"

#include "harness/core/dtype.h"

#include <algorithm>
#include <cmath>

namespace packproof::reference {
namespace {

double round_to_tf32(double value) {
  if (!std::isfinite(value) || value == 0.0) return value;
  // Eleven significant bits, fewer below the smallest normal exponent of float32.
  const int exponent = std::max(std::ilogb(value), -126);
  const double spacing = std::ldexp(1.0, exponent - 10);
  return packproof::round_to(DType::kF32, std::nearbyint(value / spacing) * spacing);
}

}  // namespace

double round_to(Format format, double value) {
  switch (format) {
    case Format::kExact:
      return value;
    case Format::kFloat32:
      return packproof::round_to(DType::kF32, value);
    case Format::kTf32:
      return round_to_tf32(value);
    case Format::kBFloat16:
      return packproof::round_to(DType::kBF16, value);
    case Format::kFloat16:
      return packproof::round_to(DType::kF16, value);
  }
  return value;
}

}  // namespace packproof::reference
