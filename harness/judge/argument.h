#pragma once

#include "harness/judge/call_mapping.h"

#include <initializer_list>
#include <string>
#include <vector>

namespace packproof {

/// The first of several names under which a function knows a tensor; null when it has none.
const Tensor* find_argument(const TensorMap& tensors, std::initializer_list<const char*> names);

/// An argument that must stand; the error names it.
Result<const Tensor*> require_argument(const CapturedCall& call,
                                       std::initializer_list<const char*> names);

/// A contiguous copy with the axes in another order: result axis i is axis `axes[i]`.
Tensor permuted(const Tensor& tensor, const std::vector<int64_t>& axes);

/// The last `count` entries of the last axis.
Tensor last_columns(const Tensor& tensor, int64_t count);

/// A number, or `otherwise` for None.
Result<double> number_argument(const CapturedCall& call, const std::string& name, double otherwise);

/// Refuses the first of these arguments that is set, with its name.
Status refuse_arguments(const CapturedCall& call, std::initializer_list<const char*> names);

/// Adds what a 16-bit working precision means, where outputs are narrower than inputs too (autocast):
/// intermediates of both directions may round to it.
void count_on_rounding(MappedCall& mapped, DType dtype, const std::string& what);

}  // namespace packproof
