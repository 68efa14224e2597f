#pragma once

#include "harness/candidate/capability.h"
#include "harness/core/case_spec.h"
#include "harness/core/result.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace packproof {

/// Sizes of the same plan: `smoke` for every build, `ci` for a gate.
enum class SuiteSize : uint8_t { kSmoke, kCi };

/// A cell that the plan must not leave empty: op x gate regime (where the op has gates) x layout.
struct Cell {
  Op op = Op::kCausalConv1d;
  Direction direction = Direction::kForward;
  LayoutClass layout = LayoutClass::kSingle;
  GateRegime gate = GateRegime::kSlow;
  int64_t cases = 0;
};

struct Plan {
  std::vector<CaseSpec> cases;
  std::vector<Cell> cells;
};

struct PlanOptions {
  SuiteSize size = SuiteSize::kSmoke;
  uint64_t seed = 1;
  /// What the candidate offers beyond the forward ops that every suite covers: those ops and
  /// directions get cells of their own.
  std::function<const Capability*(Op, Direction)> offers;
};

/// Ops whose forward direction every suite covers.
std::span<const Op> suite_ops();

/// Ops that suites cover in both directions where the candidate offers them.
std::span<const Op> offered_ops();

/// Random packings for every cell: the same plan for the same options, on any machine. An empty
/// cell is an error.
Result<Plan> make_plan(const PlanOptions& options);

/// A case with its states in a pool gets initial states of its own where the candidate does not
/// declare pools, and most cases get head sizes that it declares.
void keep_to_declared_limits(const Capability& capability, CaseSpec& spec);

/// "recurrent_gated_delta_rule fwd, slow, empty_middle".
std::string cell_text(const Cell& cell);

}  // namespace packproof
