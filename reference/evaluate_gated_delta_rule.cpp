#include "reference/delta_rule_bounds.h"
#include "reference/delta_rule_inputs.h"
#include "reference/evaluate.h"
#include "reference/gated_delta_rule_chunked.h"
#include "reference/gated_delta_rule_fast.h"

namespace packproof::reference {
namespace {

/// Outputs and their bounds of one run of the recurrence.
struct Evaluated {
  Tensor output;
  Tensor final_state;
  Tensor output_bound;
  Tensor final_state_bound;
};

Evaluated run(const OpCallReader& reader, const DeltaRuleInputs& inputs) {
  const DeltaRuleProblem& problem = inputs.problem;
  const int64_t chunk_size = reader.call().attributes.chunk_size;
  const bool chunked = reader.call().op == Op::kChunkGatedDeltaRule;
  const std::vector<double> chunk_errors =
      chunked ? chunked_g_error(problem, inputs.g_errors(), chunk_size) : std::vector<double>();
  const double* const g_error = chunked ? chunk_errors.data() : inputs.g_errors();
  const auto zeros = [](const std::vector<int64_t>& shape) { return Tensor(DType::kF64, shape); };
  const auto data = [](Tensor& tensor) { return tensor.values<double>().data(); };
  const std::vector<int64_t> states = inputs.state_shape(problem.num_seqs());
  Evaluated result{zeros(inputs.v.shape()), zeros(states), {}, {}};
  DeltaRuleErrors errors;
  if (reader.wants_bounds()) {
    result.output_bound = zeros(inputs.v.shape());
    result.final_state_bound = zeros(states);
    errors.output = data(result.output_bound);
    errors.final_state = data(result.final_state_bound);
  }
  errors.steps = [&](int64_t head, RowSpan rows, std::vector<ErrorStep>& steps) {
    forward_error_steps(problem, g_error, head, rows, steps);
  };
  gated_delta_rule_fast(problem, {data(result.output), data(result.final_state)},
                        reader.wants_bounds() ? &errors : nullptr);
  if (chunked) {  // The op's own form; the recurrence gave the bounds.
    gated_delta_rule_chunked(problem, chunk_size, data(result.output), data(result.final_state));
  }
  return result;
}

/// Moves what the call names into the result.
void keep(const OpCallReader& reader, const char* name, Tensor value, Tensor bound,
          OpResult& result) {
  if (!reader.wants(name)) return;
  result.outputs[name] = std::move(value);
  if (reader.wants_bounds()) result.float32_bounds[name] = std::move(bound);
}

/// The pool after the call, with the final states where they belong.
void keep_pool(const OpCallReader& reader, const StatePool& pool, const Evaluated& values,
               OpResult& result) {
  keep(reader, "state", pool.updated(values.final_state),
       reader.wants_bounds() ? pool.spread(values.final_state_bound) : Tensor(), result);
}

Result<OpResult> forward(const OpCallReader& reader) {
  PACKPROOF_TRY(const DeltaRuleInputs inputs, read_delta_rule_tokens(reader));
  PACKPROOF_CHECK_OK(reader.check_output("output", inputs.v.shape()));
  PACKPROOF_CHECK_OK(
      reader.check_output("final_state", inputs.state_shape(inputs.problem.num_seqs())));
  Evaluated values = run(reader, inputs);
  OpResult result;
  if (inputs.pool) keep_pool(reader, *inputs.pool, values, result);
  keep(reader, "output", std::move(values.output), std::move(values.output_bound), result);
  keep(reader, "final_state", std::move(values.final_state), std::move(values.final_state_bound),
       result);
  return result;
}

}  // namespace

Result<OpResult> evaluate_gated_delta_rule(const OpCallReader& reader) {
  return reader.call().direction == Direction::kForward ? forward(reader)
                                                        : evaluate_gated_delta_rule_bwd(reader);
}

// Every sequence is one row; its slot holds the initial state and receives the final one.
Result<OpResult> evaluate_gated_delta_rule_update(const OpCallReader& reader) {
  PACKPROOF_TRY(const std::vector<int64_t> shape, reader.shape("v", 3));
  PACKPROOF_TRY(const std::vector<int64_t> pool_shape, reader.shape("state", 4));
  const int64_t count = shape[0];
  PACKPROOF_TRY(const std::vector<int64_t> slots, reader.slots(count, pool_shape[0]));
  OwnedRows owned;
  std::vector<RowSpan> sequences;
  std::vector<int64_t> stepping;
  for (int64_t n = 0; n < count; ++n) {
    const int64_t slot = slots[static_cast<std::size_t>(n)];
    owned.push_back(slot >= 0);
    if (slot < 0) continue;
    sequences.push_back({n, n + 1});
    stepping.push_back(slot);
  }
  PACKPROOF_TRY(DeltaRuleInputs inputs,
                read_delta_rule(reader, {count}, std::move(owned), std::move(sequences)));
  PACKPROOF_TRY(const StatePool pool, StatePool::read(reader, std::move(stepping), inputs.problem));
  PACKPROOF_CHECK_OK(reader.check_output("output", shape));
  inputs.initial_state = pool.initial_states();
  inputs.point();
  Evaluated values = run(reader, inputs);
  OpResult result;
  keep_pool(reader, pool, values, result);
  keep(reader, "output", std::move(values.output), std::move(values.output_bound), result);
  return result;
}

}  // namespace packproof::reference
