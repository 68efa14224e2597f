#include "harness/run/plan.h"

#include "property_tests/generators/case_source.h"

#include <array>

namespace packproof {
namespace {

constexpr std::array kSuiteOps{Op::kCausalConv1d, Op::kCausalConv1dUpdate,
                               Op::kRecurrentGatedDeltaRule, Op::kRecurrentGatedDeltaRuleUpdate,
                               Op::kGatedRmsNorm};

constexpr std::array kNoGates{GateRegime::kSlow};

}  // namespace

std::span<const Op> suite_ops() { return kSuiteOps; }

std::string cell_text(const Cell& cell) {
  std::string text = std::string(name_of(cell.op)) + " " + std::string(name_of(cell.direction));
  if (has_gates(cell.op)) text += ", " + std::string(name_of(cell.gate));
  return text + ", " + std::string(name_of(cell.layout));
}

}  // namespace packproof
