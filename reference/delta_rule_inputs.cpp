#include "reference/delta_rule_inputs.h"

#include "reference/gate_formulas.h"

#include <cmath>

namespace packproof::reference {
namespace {

std::vector<int64_t> joined(std::vector<int64_t> leading, std::initializer_list<int64_t> rest) {
  leading.insert(leading.end(), rest);
  return leading;
}

Status read_gate(const OpCallReader& reader, const std::vector<int64_t>& shape,
                 DeltaRuleInputs& inputs) {
  const bool raw = reader.has("a") || reader.has("A_log") || reader.has("dt_bias");
  if (reader.has("g") && raw) {
    return reader.refusal("expected either 'g' or 'a', 'A_log' and 'dt_bias', found both");
  }
  if (!raw) {
    PACKPROOF_TRY(inputs.g, reader.values("g", shape, inputs.owned));
    return {};
  }
  const int64_t heads = shape.back();
  PACKPROOF_TRY(inputs.a, reader.values("a", shape, inputs.owned));
  PACKPROOF_TRY(inputs.A_log, reader.values("A_log", {heads}));
  PACKPROOF_TRY(inputs.dt_bias, reader.values("dt_bias", {heads}));
  inputs.raw_gate = true;
  inputs.g = Tensor(DType::kF64, shape);
  inputs.g_error.assign(static_cast<std::size_t>(inputs.g.numel()), 0.0);
  for (int64_t i = 0; i < inputs.g.numel(); ++i) {
    const double A_log = inputs.A_log.at(i % heads);
    const double dt_bias = inputs.dt_bias.at(i % heads);
    const double a = inputs.a.at(i);
    inputs.g.set(i, LogDecayFormula<double>{A_log, dt_bias}.forward(a));
    inputs.g_error[static_cast<std::size_t>(i)] =
        outcome(LogDecayFormula<Float32Error>{A_log, dt_bias}.forward(a));
  }
  return {};
}

}  // namespace

std::vector<int64_t> DeltaRuleInputs::state_shape(int64_t count) const {
  return {count, problem.value_heads, problem.key_dim, problem.value_dim};
}

void DeltaRuleInputs::point() {
  const auto data = [](const Tensor& tensor) { return tensor.values<double>().data(); };
  problem.q = q.stored();
  problem.k = k.stored();
  problem.v = v.stored();
  problem.g = data(g);
  problem.beta = data(beta);
  problem.initial_state = initial_state ? data(*initial_state) : nullptr;
}

Result<DeltaRuleInputs> read_delta_rule(const OpCallReader& reader, std::vector<int64_t> leading,
                                        OwnedRows owned, std::vector<RowSpan> sequences) {
  DeltaRuleInputs inputs;
  inputs.leading = std::move(leading);
  inputs.owned = std::move(owned);
  const auto rank = static_cast<int64_t>(inputs.leading.size());
  PACKPROOF_TRY(const std::vector<int64_t> key_shape, reader.shape("q", rank + 2));
  PACKPROOF_TRY(const std::vector<int64_t> value_shape, reader.shape("v", rank + 2));
  DeltaRuleProblem& problem = inputs.problem;
  problem.key_heads = key_shape[static_cast<std::size_t>(rank)];
  problem.key_dim = key_shape.back();
  problem.value_heads = value_shape[static_cast<std::size_t>(rank)];
  problem.value_dim = value_shape.back();
  if (problem.key_heads < 1 || problem.value_heads % problem.key_heads != 0) {
    return reader.refusal("expected value heads in multiples of the key heads, found " +
                          std::to_string(problem.value_heads) + " and " +
                          std::to_string(problem.key_heads));
  }
  const auto keys = joined(inputs.leading, {problem.key_heads, problem.key_dim});
  const auto values = joined(inputs.leading, {problem.value_heads, problem.value_dim});
  const auto gates = joined(inputs.leading, {problem.value_heads});
  PACKPROOF_TRY(inputs.q, reader.token_values("q", keys, inputs.owned));
  PACKPROOF_TRY(inputs.k, reader.token_values("k", keys, inputs.owned));
  PACKPROOF_TRY(inputs.v, reader.token_values("v", values, inputs.owned));
  PACKPROOF_TRY(inputs.beta, reader.values("beta", gates, inputs.owned));
  PACKPROOF_CHECK_OK(read_gate(reader, gates, inputs));

  if (reader.call().op == Op::kChunkGatedDeltaRule && reader.call().attributes.chunk_size < 1) {
    return reader.refusal("expected a chunk_size of at least 1, found " +
                          std::to_string(reader.call().attributes.chunk_size));
  }
  problem.num_rows = static_cast<int64_t>(inputs.owned.size());
  problem.sequences = std::move(sequences);
  const OpAttributes& attributes = reader.call().attributes;
  problem.qk_l2norm = attributes.qk_l2norm;
  problem.scale = attributes.scale != 0.0 ? attributes.scale
                                          : 1.0 / std::sqrt(static_cast<double>(problem.key_dim));
  inputs.point();
  return inputs;
}

Result<DeltaRuleInputs> read_delta_rule_tokens(const OpCallReader& reader) {
  PACKPROOF_TRY(const std::vector<int64_t> shape, reader.shape("v", 4));
  PACKPROOF_TRY(TokenPacking packing, reader.packing(shape[0], shape[1]));
  PACKPROOF_TRY(DeltaRuleInputs inputs,
                read_delta_rule(reader, {shape[0], shape[1]}, std::move(packing.owned),
                                std::move(packing.sequences)));
  if (reader.has("initial_state")) {
    PACKPROOF_TRY(Tensor state,
                  reader.values("initial_state", inputs.state_shape(inputs.problem.num_seqs())));
    inputs.initial_state = std::move(state);
    inputs.point();
  }
  if (reader.has("state") || reader.wants("state")) {
    PACKPROOF_TRY(inputs.pool, read_state_pool(reader, inputs.problem));
    inputs.initial_state = inputs.pool->initial_states();
    inputs.point();
  }
  return inputs;
}

}  // namespace packproof::reference
