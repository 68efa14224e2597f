#include "harness/core/dtype.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

namespace packproof {
namespace {

/// An IEEE-like format of 16 bits: sign, exponent, fraction.
struct SmallFloat {
  int fraction_bits;
  int min_exponent;  ///< Exponent of the smallest normal number.
  uint16_t infinity;
};

constexpr SmallFloat kHalf{10, -14, 0x7C00};
constexpr SmallFloat kBrain{7, -126, 0x7F80};

constexpr uint64_t kF64FractionMask = (uint64_t{1} << 52) - 1;

// Rounds from the 64 bits directly: a detour over float would round twice.
uint16_t encode(const SmallFloat& format, double value) {
  const uint64_t bits = std::bit_cast<uint64_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 63) << 15);
  const auto biased = static_cast<int>((bits >> 52) & 0x7FF);
  const uint64_t fraction = bits & kF64FractionMask;
  const int dropped = 52 - format.fraction_bits;
  if (biased == 0x7FF) {
    if (fraction == 0) return sign | format.infinity;
    const uint64_t quiet = uint64_t{1} << (format.fraction_bits - 1);
    return static_cast<uint16_t>(sign | format.infinity | quiet | (fraction >> dropped));
  }
  if (biased == 0) return sign;  // f64 subnormals lie far below half of any 16-bit subnormal.

  const int exponent = biased - 1023;
  const uint64_t significand = fraction | (uint64_t{1} << 52);
  const bool subnormal = exponent < format.min_exponent;
  const int shift = dropped + (subnormal ? format.min_exponent - exponent : 0);
  if (shift > 53) return sign;  // Below half of the smallest subnormal.
  const uint64_t half = uint64_t{1} << (shift - 1);
  const uint64_t rest = significand & ((uint64_t{1} << shift) - 1);
  uint64_t rounded = significand >> shift;
  if (rest > half || (rest == half && (rounded & 1) != 0)) ++rounded;

  // Adding the significand to the exponent field lets a carry move into the next exponent, from
  // the subnormals into the normals and from the largest number into infinity.
  uint64_t magnitude = rounded;
  if (!subnormal) {
    magnitude += static_cast<uint64_t>(exponent - format.min_exponent) << format.fraction_bits;
  }
  return static_cast<uint16_t>(sign | std::min<uint64_t>(magnitude, format.infinity));
}

double decode(const SmallFloat& format, uint16_t bits) {
  const uint64_t sign = static_cast<uint64_t>(bits & 0x8000) << 48;
  const uint64_t magnitude = bits & 0x7FFF;
  const int dropped = 52 - format.fraction_bits;
  if (magnitude >= format.infinity) {
    const uint64_t payload = (magnitude - format.infinity) << dropped;
    const uint64_t quiet = payload == 0 ? 0 : uint64_t{1} << 51;
    return std::bit_cast<double>(sign | (uint64_t{0x7FF} << 52) | quiet | payload);
  }
  const auto smallest_normal = static_cast<uint64_t>(1023 + format.min_exponent) << 52;
  if ((magnitude >> format.fraction_bits) == 0) {
    // The fraction on top of the smallest normal number, minus that number: exact.
    const double shifted = std::bit_cast<double>(smallest_normal | (magnitude << dropped));
    const double value = shifted - std::bit_cast<double>(smallest_normal);
    return sign == 0 ? value : -value;
  }
  // Biased exponent 1 means min_exponent in the narrow format and 1023 + min_exponent in double.
  return std::bit_cast<double>(sign |
                               ((magnitude << dropped) + (smallest_normal - (uint64_t{1} << 52))));
}

template <typename T>
T load(const std::byte* source) {
  T value;
  std::memcpy(&value, source, sizeof(T));
  return value;
}

template <typename T>
void store(std::byte* target, T value) {
  std::memcpy(target, &value, sizeof(T));
}

// Saturates, because a conversion out of range is undefined in C++; NaN becomes 0.
template <typename T>
T round_to_integer(double value) {
  if (std::isnan(value)) return 0;
  const double rounded = std::nearbyint(value);
  if (rounded >= -static_cast<double>(std::numeric_limits<T>::min())) {
    return std::numeric_limits<T>::max();
  }
  if (rounded <= static_cast<double>(std::numeric_limits<T>::min())) {
    return std::numeric_limits<T>::min();
  }
  return static_cast<T>(rounded);
}

struct Row {
  DType dtype;
  std::string_view name;
  std::size_t size;
};

constexpr std::array<Row, 6> kRows{{{DType::kF32, "f32", 4},
                                    {DType::kF16, "f16", 2},
                                    {DType::kBF16, "bf16", 2},
                                    {DType::kF64, "f64", 8},
                                    {DType::kI32, "i32", 4},
                                    {DType::kI64, "i64", 8}}};

const Row& row_of(DType dtype) { return kRows[static_cast<std::size_t>(dtype)]; }

}  // namespace

std::size_t size_of(DType dtype) { return row_of(dtype).size; }

std::string_view name_of(DType dtype) { return row_of(dtype).name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Row& row : kRows) {
    if (row.name == name) return row.dtype;
  }
  return std::nullopt;
}

bool is_floating(DType dtype) { return dtype != DType::kI32 && dtype != DType::kI64; }

double unit_roundoff(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0x1p-24;
    case DType::kF16:
      return 0x1p-11;
    case DType::kBF16:
      return 0x1p-8;
    case DType::kF64:
      return 0x1p-53;
    case DType::kI32:
    case DType::kI64:
      break;
  }
  return 0.0;
}

double underflow_unit(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0x1p-150;
    case DType::kF16:
      return 0x1p-25;
    case DType::kBF16:
      return 0x1p-134;
    case DType::kF64:
      return 0x1p-1074;  // Half of it is not a double: the bound is twice the true one.
    case DType::kI32:
    case DType::kI64:
      break;
  }
  return 0.0;
}

double load_element(DType dtype, const std::byte* source) {
  switch (dtype) {
    case DType::kF32:
      return static_cast<double>(load<float>(source));
    case DType::kF16:
      return decode(kHalf, load<uint16_t>(source));
    case DType::kBF16:
      return decode(kBrain, load<uint16_t>(source));
    case DType::kF64:
      return load<double>(source);
    case DType::kI32:
      return static_cast<double>(load<int32_t>(source));
    case DType::kI64:
      return static_cast<double>(load<int64_t>(source));
  }
  return 0.0;
}

void store_element(DType dtype, std::byte* target, double value) {
  switch (dtype) {
    case DType::kF32:
      return store(target, static_cast<float>(value));
    case DType::kF16:
      return store(target, encode(kHalf, value));
    case DType::kBF16:
      return store(target, encode(kBrain, value));
    case DType::kF64:
      return store(target, value);
    case DType::kI32:
      return store(target, round_to_integer<int32_t>(value));
    case DType::kI64:
      return store(target, round_to_integer<int64_t>(value));
  }
}

double round_to(DType dtype, double value) {
  std::array<std::byte, 8> element{};
  store_element(dtype, element.data(), value);
  return load_element(dtype, element.data());
}

}  // namespace packproof
