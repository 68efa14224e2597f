#pragma once

#include "harness/core/op_call.h"
#include "harness/core/result.h"
#include "harness/oracle/row_map.h"
#include "reference/reference.h"

#include <map>
#include <optional>
#include <string>

namespace packproof {

inline constexpr double kFloat32Roundoff = 0x1p-24;

/// The precision of the factors of the call's matrix products; none for an op or dtype that has no
/// such form.
std::optional<reference::EmulatedPrecision> factors_of(const OpCall& call);

/// Absolute error allowed per element of every output of a call, f64 (harness/oracle/README.md): a
/// bound on float32 evaluation, or, where a kernel's matrix products have 16-bit factors, a multiple
/// of what those roundings do in an emulated one. `expected` is the reference's answer to `call`,
/// `rows` the meaning of its outputs. `unit_roundoff` is the candidate's for intermediates; bounds are
/// proportional to it.
Result<TensorMap> error_budgets(const OpCall& call, const reference::OpResult& expected,
                                const std::map<std::string, RowMap>& rows,
                                const reference::Reference& reference,
                                double unit_roundoff = kFloat32Roundoff);

}  // namespace packproof
