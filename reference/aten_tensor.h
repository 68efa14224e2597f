#pragma once

#include "harness/core/tensor.h"

#include <ATen/ATen.h>

namespace packproof::reference {

/// A contiguous copy: floating dtypes become f64, integers i64.
at::Tensor to_aten(const Tensor& tensor);

/// A contiguous f64 (or i64, from an integer tensor) copy.
Tensor from_aten(const at::Tensor& tensor);

}  // namespace packproof::reference
