#pragma once

#include "harness/candidate/frame.h"
#include "harness/candidate/json_fields.h"
#include "harness/core/op_call.h"
#include "harness/core/tensor.h"

#include <map>
#include <string>
#include <string_view>

namespace packproof {

inline constexpr std::string_view kDTypeNames = "one of f32 f16 bf16 f64 i32 i64";

/// A field that names a dtype.
Result<DType> read_dtype(const JsonObject& object, std::string_view key);

/// The outputs that a call asks for, by name: dtype, shape and strides of a storage within the limits
/// of the protocol.
Result<std::map<std::string, OutputSpec>> read_output_specs(const JsonObject& parent,
                                                            std::string_view key);

/// The tensors of an object field by name: each entry gives dtype, shape, strides, and the place of
/// its storage in the frame's payload, which must hold exactly what they reach.
Result<TensorMap> read_tensors(const JsonObject& parent, std::string_view key, const Frame& frame);

}  // namespace packproof
