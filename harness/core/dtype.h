#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace packproof {

/// Element types that cross the process protocol and the C boundary.
enum class DType : uint8_t { kF32, kF16, kBF16, kF64, kI32, kI64 };

std::size_t size_of(DType dtype);

/// "f32", "f16", "bf16", "f64", "i32", "i64": the names of case lines and of the protocol.
std::string_view name_of(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

bool is_floating(DType dtype);

/// Unit roundoff of round-to-nearest-even: 2^-24, 2^-11, 2^-8, 2^-53. Zero for integers.
double unit_roundoff(DType dtype);

/// Half the spacing of subnormal numbers: the absolute rounding error near zero.
double underflow_unit(DType dtype);

/// Reads one element as double (integers above 2^53 lose bits; see Tensor::int_at).
double load_element(DType dtype, const std::byte* source);

/// Rounds to nearest even and stores one element; NaN stays NaN, overflow becomes infinity.
void store_element(DType dtype, std::byte* target, double value);

/// The value after one rounding to `dtype`. No double rounding: f64 to f16/bf16 directly.
double round_to(DType dtype, double value);

}  // namespace packproof
