#pragma once

#include "reference/delta_rule_problem.h"
#include "reference/delta_rule_state_pool.h"
#include "reference/op_call_reader.h"

#include <optional>
#include <vector>

namespace packproof::reference {

/// The tensors of a delta rule call, with the gate evaluated where the op does so, and the problem
/// that views them. Token tensors lead with [B, T], or with [N] in an update. The call must outlive
/// it: large tensors are read where they lie.
struct DeltaRuleInputs {
  std::vector<int64_t> leading;  ///< [B, T] or [N].
  OwnedRows owned;
  TokenValues q, k, v;
  Tensor beta;
  Tensor g;                             ///< As given, or -exp(A_log) softplus(a + dt_bias).
  std::vector<double> g_error;          ///< Float32 error of g; empty when g is given.
  bool raw_gate = false;                ///< The op makes g from a, A_log and dt_bias.
  Tensor a, A_log, dt_bias;             ///< Of a gate inside the op only.
  std::optional<Tensor> initial_state;  ///< [N, Hv, K, V].
  std::optional<StatePool> pool;        ///< Where the call over whole sequences has them instead.
  DeltaRuleProblem problem;

  DeltaRuleInputs() = default;
  DeltaRuleInputs(DeltaRuleInputs&&) = default;  // Storage moves along with its address.
  DeltaRuleInputs(const DeltaRuleInputs&) = delete;

  bool gate_in_op() const { return raw_gate; }

  const double* g_errors() const { return gate_in_op() ? g_error.data() : nullptr; }

  std::vector<int64_t> state_shape(int64_t count) const;

  /// Points `problem` at the tensors; again after one of them was replaced.
  void point();
};

/// Reads everything but the states. `sequences` and `owned` count rows of the flattened `leading`.
Result<DeltaRuleInputs> read_delta_rule(const OpCallReader& reader, std::vector<int64_t> leading,
                                        OwnedRows owned, std::vector<RowSpan> sequences);

/// Reads a call over packed or dense tokens, initial states included, of their own or in a pool.
Result<DeltaRuleInputs> read_delta_rule_tokens(const OpCallReader& reader);

}  // namespace packproof::reference
