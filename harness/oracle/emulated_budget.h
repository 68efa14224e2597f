#pragma once

#include "harness/core/tensor.h"
#include "harness/oracle/row_map.h"

namespace packproof {

/// How many times the RMS error of an emulated kernel an element may err by. Errors of independent
/// roundings are normal (8 RMS has probability 1e-15), but their RMS is estimated from as few as a
/// block's elements, and a kernel may round at other points than the emulated one.
inline constexpr double kEmulatedErrors = 8.0;

/// Roundings of factors that one product carries: normalised k, beta v, A, the correction and the
/// correction times its decay. A state after one token is k_i delta_j alone: its largest elements are
/// many times a block's mean, and so are their errors.
inline constexpr double kFactorRoundings = 5.0;

/// Absolute error allowed per element of a kernel whose matrix products have 16-bit factors, from the
/// distance of a reference that rounds at the same points (derivation: README.md, section 7).
/// Elements share an estimate by blocks: one head (`heads` per row) of up to 64 neighbouring tokens of
/// a sequence, or of one state. `factors` is the dtype of the factors, `dtype` that of the output;
/// rows that belong to nothing are allowed nothing beyond one rounding.
Tensor emulated_allowance(const Tensor& expected, const Tensor& emulated, DType factors,
                          DType dtype, const RowMap& rows, int64_t heads);

}  // namespace packproof
