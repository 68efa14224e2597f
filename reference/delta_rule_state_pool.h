#pragma once

#include "reference/delta_rule_problem.h"
#include "reference/op_call_reader.h"

#include <cstdint>
#include <vector>

namespace packproof::reference {

/// The states of a problem's sequences in the pool `state` [S, Hv, K, V] of a call.
class StatePool {
 public:
  /// `slots` holds one of each sequence of the problem; -1: it starts from zeros and is not kept.
  /// Slots that none names may hold anything.
  static Result<StatePool> read(const OpCallReader& reader, std::vector<int64_t> slots,
                                const DeltaRuleProblem& problem);

  /// [N, Hv, K, V].
  Tensor initial_states() const;

  /// The pool with final states [N, Hv, K, V] in their slots; the others keep what they hold.
  Tensor updated(const Tensor& final_states) const;

  /// Bounds [N, Hv, K, V] in their slots, 0 in the others.
  Tensor spread(const Tensor& bounds) const;

 private:
  Tensor with(Tensor pool, const Tensor& states) const;

  std::vector<int64_t> slots_;
  Tensor states_;  ///< What the call holds.
  int64_t size_ = 0;
};

/// The pool of a call over whole sequences, by state_indices, which must not meet initial_state or
/// final_state.
Result<StatePool> read_state_pool(const OpCallReader& reader, const DeltaRuleProblem& problem);

}  // namespace packproof::reference
