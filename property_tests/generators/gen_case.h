#pragma once

#include "harness/core/case_spec.h"

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <vector>

#include <rapidcheck.h>

namespace packproof {

/// Which cases to draw.
struct CaseDomain {
  Op op = Op::kCausalConv1d;
  Direction direction = Direction::kForward;
  LayoutClass layout = LayoutClass::kRagged;
  GateRegime gate = GateRegime::kSlow;  ///< Ignored by ops without gates.
  std::optional<DType> dtype;           ///< Any of f32, f16, bf16 when empty.
  int64_t max_tokens = 512;

  /// Bound on rows x elements a row touches (Hv K V, C W, Hv V); dims shrink to keep it where they
  /// can. It is what a simulated kernel's time grows with.
  int64_t max_work = int64_t{1} << 24;
};

/// True if the domain holds a case: update ops know no lengths above 1, row-wise ops no slack, and
/// every layout class needs some tokens.
bool is_reachable(const CaseDomain& domain);

/// Recipes of cases, never arrays. Every value is valid, in the domain's layout class and gate
/// regime, and shrinks by `shrink_stages` (valid cases of any class). The domain must be reachable.
rc::Gen<CaseSpec> gen_case(const CaseDomain& domain);

/// Valid cases of any op, direction, layout class and gate regime.
rc::Gen<CaseSpec> gen_any_case(int64_t max_tokens);

/// RapidCheck prints a counterexample as its case line.
void showValue(const CaseSpec& spec, std::ostream& stream);

}  // namespace packproof
