#pragma once

#include "reference/delta_rule_problem.h"
#include "reference/gated_delta_rule_strip.h"

#include <functional>
#include <vector>

namespace packproof::reference {

/// Version of the inner loop; the results differ by roundings (tested to 1e-13).
enum class InstructionSet : uint8_t {
  kBest,      ///< The fastest one that this CPU runs.
  kBaseline,  ///< Any CPU.
  kAvx2,      ///< AVX2 and FMA; the caller has asked `cpu_has_avx2`.
};

struct FastOptions {
  InstructionSet instruction_set = InstructionSet::kBest;
  int threads = 0;  ///< 0: one per core.
};

/// Where the results go: arrays of the caller. Rows of no sequence are left alone.
struct DeltaRuleResults {
  double* output = nullptr;       ///< [R, Hv, V].
  double* final_state = nullptr;  ///< [N, Hv, K, V]; may be null.
};

/// Bounds on the float32 error, carried along when asked for.
struct DeltaRuleErrors {
  /// Coefficients of the tokens [begin, end) of a value head (`delta_rule_bounds.h`).
  std::function<void(int64_t value_head, RowSpan rows, std::vector<ErrorStep>& steps)> steps;
  double* output = nullptr;       ///< [R, Hv, V].
  double* final_state = nullptr;  ///< [N, Hv, K, V]; may be null.
};

/// The recurrence of spec 3.1 in plain C++: a strip of value columns at a time, one pass over its
/// state per token, threads over sequences, heads and strips. The definition that it is held
/// against is `recurrent_gated_delta_rule` (ops.h). A sequence's bits do not depend on its
/// neighbours, nor on the number of threads.
void gated_delta_rule_fast(const DeltaRuleProblem& problem, const DeltaRuleResults& results,
                           const DeltaRuleErrors* errors = nullptr,
                           const FastOptions& options = {});

}  // namespace packproof::reference
