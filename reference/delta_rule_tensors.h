#pragma once

#include "reference/delta_rule_problem.h"
#include "reference/ops.h"

#include <cstdint>
#include <span>

#include <ATen/ATen.h>

namespace packproof::reference {

/// The delta rule's inputs on f64 tensors, made contiguous, for the plain C++ forms. `cu_seqlens`
/// empty means dense; q and k are normalised inside, the scale is K^-1/2.
class DeltaRuleTensors {
 public:
  /// Shapes as in `recurrent_gated_delta_rule`; `initial_state` may be undefined.
  DeltaRuleTensors(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                   const at::Tensor& g, const at::Tensor& beta, const at::Tensor& initial_state,
                   std::span<const int64_t> cu_seqlens);

  /// Views the tensors of this object, which must outlive it.
  const DeltaRuleProblem& problem() const { return problem_; }

  /// The fast recurrence; no gradients flow. Rows of no sequence are zero.
  DeltaResult evaluate() const;

 private:
  at::Tensor q_, k_, v_, g_, beta_, initial_state_;
  DeltaRuleProblem problem_;
};

}  // namespace packproof::reference
