#pragma once

#include "packproof/kernel_abi.h"

#include <cstdint>

namespace packproof {

/// "f32", "f16", ...; "unknown" for a number that is no packproof_dtype.
const char* name_of_dtype(int32_t dtype);
int64_t bytes_of_dtype(int32_t dtype);

/// False for an optional tensor that was left out.
inline bool is_present(const packproof_tensor& tensor) { return tensor.rank != 0; }

/// True when an axis has size 0: such a tensor may have null data.
bool is_empty(const packproof_tensor& tensor);

// The following expect sizes and strides of at least 0.

/// False when the offset of an element, in bytes, may not fit into 62 bits.
bool is_addressable(const packproof_tensor& tensor);

/// True when the memory from first to last element of one tensor meets that of the other.
bool spans_meet(const packproof_tensor& a, const packproof_tensor& b);

/// True when no two elements share memory. Sufficient: sorted by stride, every axis steps beyond
/// all that the inner axes reach.
bool elements_distinct(const packproof_tensor& tensor);

}  // namespace packproof
