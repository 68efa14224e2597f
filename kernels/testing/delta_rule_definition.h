#pragma once

#include "kernels/testing/delta_rule_call.h"

#include <cstdint>
#include <vector>

namespace packproof {

/// One head of one sequence: output [length][V] and final state [K][V], row-major.
struct DeltaRuleResult {
  std::vector<double> output;
  std::vector<double> final_state;
};

/// Where the rows of a sequence stand in a call.
struct CallSequence {
  int64_t n = 0;  ///< Of its states.
  int64_t batch = 0;
  int64_t first = 0;
  int64_t length = 0;
};

std::vector<CallSequence> sequences_of(const TestPacking& packing);

/// Spec 3.1, token by token, in double on the call's values.
DeltaRuleResult evaluate_recurrence(const DeltaRuleCall& call, const CallSequence& sequence,
                                    int64_t head);

/// Spec 3.2 with chunks of 64 in double, with the roundings of a 16-bit kernel: normalised q and k,
/// A, P, and as factors the state, X, Delta and decayed Delta, and the output.
DeltaRuleResult emulate_chunks(const DeltaRuleCall& call, const CallSequence& sequence,
                               int64_t head, int32_t dtype);

/// What the kernel wrote.
DeltaRuleResult result_of(const DeltaRuleCall& call, const CallSequence& sequence, int64_t head);

/// Sums of squares over many results.
struct SquaredError {
  double of_kernel = 0.0;
  double of_emulation = 0.0;
  double of_values = 0.0;

  void add(const std::vector<double>& kernel, const std::vector<double>& emulation,
           const std::vector<double>& exact);
};

}  // namespace packproof
