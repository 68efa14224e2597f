#pragma once

#include "harness/core/case_spec.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

/// Random cases and their shrinking for the runner, without RapidCheck in the interface.
namespace packproof {

struct DrawRequest {
  std::vector<Op> ops;  ///< Cases go round these, those that can't reach the layout left out.
  Direction direction = Direction::kForward;
  LayoutClass layout = LayoutClass::kRagged;
  GateRegime gate = GateRegime::kSlow;  ///< Ops without gates ignore it.
  int64_t count = 1;
  uint64_t seed = 0;
  int64_t max_tokens = 512;

  /// Bound on rows x elements a row touches (Hv K V, C W, Hv V), kept where dims can give way.
  int64_t max_work = int64_t{1} << 24;
};

/// True if `op` has a case in the layout class within `max_tokens`: update ops know no lengths above
/// 1, row-wise ops no slack, backward not every op.
bool can_draw(Op op, Direction direction, LayoutClass layout, int64_t max_tokens);

/// `count` valid cases of the layout class and gate regime, the same for the same request on every
/// run. Empty when no op of the request can be drawn.
std::vector<CaseSpec> draw_cases(const DrawRequest& request);

struct ShrinkLimits {
  int64_t max_tries = 500;
  std::chrono::milliseconds time_limit{60000};  ///< Checked between tries.
};

struct ShrinkResult {
  CaseSpec spec;      ///< The smallest failing case found; the given one if nothing smaller fails.
  int64_t tries = 0;  ///< Calls of `still_fails`.
  int64_t accepted = 0;   ///< Those that failed and were kept.
  bool complete = false;  ///< No smaller candidate fails: no limit was met.
};

/// Fewer sequences, then shorter ones (toward 0, 1, the conv width and the chunk edges), then heads,
/// dims and plain options. `failing` is taken to fail; only valid cases are tried, none twice. Op,
/// direction and variant stay.
ShrinkResult shrink_case(const CaseSpec& failing,
                         const std::function<bool(const CaseSpec&)>& still_fails,
                         const ShrinkLimits& limits = {});

}  // namespace packproof
