#pragma once

#include "harness/core/outcome.h"
#include "harness/run/model_ops.h"

#include <string>
#include <vector>

namespace packproof {

/// What the regression test of transformers #45034 says of one planted fault.
struct UpstreamRow {
  PlantedFault fault = PlantedFault::kNone;
  GateRegime gate = GateRegime::kDefaultInit;
  int64_t accepted = 0;  ///< Random models of `models` with both batches within 1e-5.
  int64_t models = 0;
  double largest_excess = 0.0;  ///< max |a - b| / (atol + rtol |b|) over the models; > 1: refused.
};

struct UpstreamReport {
  std::vector<UpstreamRow> rows;
  CaseResult verdict;  ///< The candidate without faults, judged as upstream does.
};

/// The upstream test re-created on `candidate`: rows of 3 + 2 and 5 + 1 tokens, left-padded against
/// packed, layer types full + linear, conv width 2, float32 ops, atol = rtol = 1e-5 on the logits
/// of valid tokens (spec 7), on several models drawn by the library's own initialisation; then with
/// every planted fault, under the library's initial gates and under slow ones. A fault that is
/// accepted is one that the test cannot see.
Result<UpstreamReport> run_upstream_suite(Candidate& candidate,
                                          const reference::Reference& reference, uint64_t seed);

/// The table of accepted and refused faults, for the console and the README.
std::string upstream_table(const UpstreamReport& report);

}  // namespace packproof
