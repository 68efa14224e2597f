#pragma once

#include "harness/run/judge.h"

#include <string>

namespace packproof {

/// How strictly two runs of the same mathematics must agree.
enum class Strength : uint8_t {
  kBitwise,  ///< Promised by the candidate: equal bits.
  kBounded,  ///< Both lie within their budget of one truth, so they lie within two budgets.
};

/// The strength that a candidate's promise gives to relations between equal layouts.
Strength promised_strength(const CaseContext& context);

/// The strength of the relation between the case's own layout and `other`. Left pads put zero rows
/// before a sequence: they leave the state of the token-by-token rule exactly zero, but a
/// convolution may add its zero taps in another order and a chunked rule shifts its chunks, so there
/// budgets are all that can be demanded.
Strength strength_against(const CaseContext& context, BatchLayout other);

/// Demands that the paired rows of the base run (`realised` of the context) and of `other` agree.
/// Adds to `result` the first difference, with `relation` in the sentence ("alone", ...). Returns
/// false when `result` failed.
bool demand_same_rows(const CaseContext& context, const Realised& other, const CallResult& run,
                      const PairOptions& pairs, Strength strength, const std::string& relation,
                      CheckResult& result);

/// Calls the candidate and demands equality in one step; failed calls become the result.
bool run_and_demand(const CaseContext& context, const Realised& other, const PairOptions& pairs,
                    Strength strength, const std::string& relation, CheckResult& result);

}  // namespace packproof
