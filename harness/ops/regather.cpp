#include "harness/ops/regather.h"

#include "harness/ops/rows.h"

namespace packproof {
namespace {

std::vector<int64_t> leading_shape(Geometry geometry, int64_t batch, int64_t rows) {
  if (geometry == Geometry::kTokens) return {batch, rows / batch};
  return {rows};
}

/// Values that a dense batch holds at pads: the mixer's own at a masked token (spec 4.1), where
/// k = v = q = 0, beta = 1/2 and the gate is not zero. With a carried state the gate is zero, since
/// the state must survive the padding: so is the softplus of a very negative `a`.
double pad_value(const std::string& name, bool carried_state) {
  if (name == "beta") return 0.5;
  if (name == "g") return carried_state ? 0.0 : -0.03125;
  if (name == "a") return carried_state ? -1000.0 : 0.0;
  return 0.0;
}

}  // namespace

Geometry geometry_of(Op op) {
  switch (op) {
    case Op::kCausalConv1d:
    case Op::kRecurrentGatedDeltaRule:
    case Op::kChunkGatedDeltaRule:
    case Op::kVarlenAttention:
    case Op::kRope:
      return Geometry::kTokens;
    case Op::kCausalConv1dUpdate:
    case Op::kRecurrentGatedDeltaRuleUpdate:
      return Geometry::kSlots;
    case Op::kGatedRmsNorm:
    case Op::kRmsNorm:
    case Op::kL2Norm:
    case Op::kDeltaRuleGate:
    case Op::kOutputGate:
    case Op::kSwiGlu:
      return Geometry::kRows;
  }
  return Geometry::kRows;
}

int64_t leading_rank(Geometry geometry) { return geometry == Geometry::kTokens ? 2 : 1; }

void regather_tokens(OpCall& call, Geometry geometry, int64_t batch,
                     const std::vector<int64_t>& token_rows, int64_t rows_per_token) {
  std::vector<int64_t> from;
  from.reserve(token_rows.size() * static_cast<std::size_t>(rows_per_token));
  for (const int64_t row : token_rows) {
    for (int64_t r = 0; r < rows_per_token; ++r) {
      from.push_back(row >= 0 ? row * rows_per_token + r : row);
    }
  }
  const std::vector<int64_t> leading =
      leading_shape(geometry, batch, static_cast<int64_t>(from.size()));
  const bool carried = call.has("initial_state") || call.has("state") || call.has("d_final_state");
  for (const TensorSchema& schema : schema_of(call.op, call.direction)) {
    const std::string name(schema.name);
    if (schema.role != TensorRole::kToken && name != "position_ids") continue;
    if (!schema.output && call.has(name)) {
      call.inputs[name] = gather_rows(call.inputs[name], leading_rank(geometry), leading, from,
                                      pad_value(name, carried));
    } else if (schema.output && call.outputs.contains(name)) {
      OutputSpec& spec = call.outputs[name];
      std::vector<int64_t> shape = leading;
      shape.insert(shape.end(), spec.shape.begin() + leading_rank(geometry), spec.shape.end());
      spec.shape = std::move(shape);
    }
  }
}

}  // namespace packproof
