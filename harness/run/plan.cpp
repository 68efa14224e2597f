#include "harness/run/plan.h"

#include "property_tests/generators/case_source.h"

#include <algorithm>
#include <array>

namespace packproof {
namespace {

constexpr std::array kSuiteOps{Op::kCausalConv1d, Op::kCausalConv1dUpdate,
                               Op::kRecurrentGatedDeltaRule, Op::kRecurrentGatedDeltaRuleUpdate,
                               Op::kGatedRmsNorm};

// Ops that are covered in both directions where a candidate offers them.
constexpr std::array kOfferedOps{Op::kCausalConv1d,
                                 Op::kRecurrentGatedDeltaRule,
                                 Op::kChunkGatedDeltaRule,
                                 Op::kGatedRmsNorm,
                                 Op::kRmsNorm,
                                 Op::kL2Norm,
                                 Op::kDeltaRuleGate,
                                 Op::kRope,
                                 Op::kVarlenAttention,
                                 Op::kOutputGate,
                                 Op::kSwiGlu};

// An op without gates has one cell per layout; the regime is then the default of a case.
constexpr std::array kNoGates{GateRegime::kSlow};

struct Sizes {
  int64_t gated_per_cell;
  int64_t plain_per_cell;
  int64_t max_tokens;
};

Sizes sizes_of(SuiteSize size) {
  // Ops without gates have six times fewer cells, so each gets more packings.
  return size == SuiteSize::kSmoke ? Sizes{1, 4, 400} : Sizes{4, 12, 1500};
}

struct Target {
  Op op;
  Direction direction;
};

std::vector<Target> targets_of(const PlanOptions& options) {
  std::vector<Target> targets;
  for (const Op op : kSuiteOps) targets.push_back({op, Direction::kForward});
  if (!options.offers) return targets;
  for (const Op op : kOfferedOps) {
    for (const Direction direction : {Direction::kForward, Direction::kBackward}) {
      const bool covered =
          direction == Direction::kForward && std::ranges::find(kSuiteOps, op) != kSuiteOps.end();
      if (!covered && options.offers(op, direction) != nullptr) targets.push_back({op, direction});
    }
  }
  return targets;
}

/// The size or a declared one in its place, but for a fifth of the cases: what lies beyond the
/// declaration is there to be refused, or for the check `undeclared`.
int64_t declared_size(int64_t size, const std::vector<int64_t>& sizes, int64_t largest,
                      uint64_t seed) {
  if (seed % 5 == 0) return size;
  if (!sizes.empty() && std::ranges::find(sizes, size) == sizes.end()) {
    return sizes[seed % sizes.size()];
  }
  return largest > 0 ? std::min(size, largest) : size;
}

/// Cases of dtypes that the candidate does not declare would be refused and leave their cell without a
/// verdict: they get one that it declares.
void keep_to_declared(const Capability& capability, std::vector<CaseSpec>& cases) {
  for (CaseSpec& spec : cases) {
    if (std::ranges::find(capability.dtypes, spec.dtype) == capability.dtypes.end()) {
      spec.dtype = capability.case_dtype(spec.seed);
    }
    keep_to_declared_limits(capability, spec);
  }
}

Status add_cells(Op op, Direction direction, const Capability* capability, const Sizes& sizes,
                 uint64_t& cell_seed, Plan& plan) {
  const std::span<const GateRegime> gates =
      has_gates(op) ? all_gate_regimes() : std::span<const GateRegime>(kNoGates);
  for (const LayoutClass layout : all_layout_classes()) {
    if (!can_draw(op, direction, layout, sizes.max_tokens)) continue;
    for (const GateRegime gate : gates) {
      DrawRequest request;
      request.ops = {op};
      request.direction = direction;
      request.layout = layout;
      request.gate = gate;
      request.count = has_gates(op) ? sizes.gated_per_cell : sizes.plain_per_cell;
      request.seed = cell_seed++;
      request.max_tokens = sizes.max_tokens;
      // Execution on the host costs microseconds per token and head: cells stay cheap.
      request.max_work = int64_t{1} << 21;
      std::vector<CaseSpec> cases = draw_cases(request);
      if (capability != nullptr) keep_to_declared(*capability, cases);
      Cell cell{op, direction, layout, gate, static_cast<int64_t>(cases.size())};
      if (cases.empty()) {
        return Error{Code::kNothingRan, "no case could be drawn for the cell " + cell_text(cell)};
      }
      plan.cells.push_back(cell);
      for (CaseSpec& spec : cases) plan.cases.push_back(std::move(spec));
    }
  }
  return {};
}

}  // namespace

void keep_to_declared_limits(const Capability& capability, CaseSpec& spec) {
  if (spec.initial_state == StateInit::kPool && !capability.limits.state_pool) {
    spec.initial_state = StateInit::kRandom;
  }
  const CapabilityLimits& limits = capability.limits;
  const bool delta_rule = has_gates(spec.op) && spec.op != Op::kDeltaRuleGate;
  if (delta_rule || spec.op == Op::kVarlenAttention) {
    spec.head_k_dim =
        declared_size(spec.head_k_dim, limits.head_k_dims, limits.max_head_k_dim, spec.seed);
  }
  if (delta_rule) {
    spec.head_v_dim =
        declared_size(spec.head_v_dim, limits.head_v_dims, limits.max_head_v_dim, spec.seed);
  }
}

std::span<const Op> suite_ops() { return kSuiteOps; }

std::span<const Op> offered_ops() { return kOfferedOps; }

Result<Plan> make_plan(const PlanOptions& options) {
  Plan plan;
  uint64_t cell_seed = options.seed;
  for (const auto& [op, direction] : targets_of(options)) {
    const Capability* capability = options.offers ? options.offers(op, direction) : nullptr;
    PACKPROOF_CHECK_OK(
        add_cells(op, direction, capability, sizes_of(options.size), cell_seed, plan));
  }
  return plan;
}

std::string cell_text(const Cell& cell) {
  std::string text = std::string(name_of(cell.op)) + " " + std::string(name_of(cell.direction));
  if (has_gates(cell.op)) text += ", " + std::string(name_of(cell.gate));
  return text + ", " + std::string(name_of(cell.layout));
}

}  // namespace packproof
