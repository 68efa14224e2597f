#include "reference/delta_rule_inputs.h"
#include "reference/evaluate.h"
#include "reference/gated_delta_rule_chunked.h"
#include "reference/gated_delta_rule_emulated.h"

#include <new>

namespace packproof::reference {
namespace {

Format format_of(EmulatedPrecision precision) {
  switch (precision) {
    case EmulatedPrecision::kBFloat16:
      return Format::kBFloat16;
    case EmulatedPrecision::kFloat16:
      return Format::kFloat16;
    case EmulatedPrecision::kTf32:
      return Format::kTf32;
  }
  return Format::kExact;
}

Result<TensorMap> emulate_tokens(const OpCallReader& reader, EmulatedPrecision precision) {
  PACKPROOF_CHECK_OK(reader.check_names());
  const OpCall& call = reader.call();
  const bool chunked = call.op == Op::kChunkGatedDeltaRule;
  const bool forward = call.direction == Direction::kForward;
  if (!chunked && (call.op != Op::kRecurrentGatedDeltaRule || !forward)) {
    return reader.refusal(
        "expected the chunked delta rule, or the forward of the recurrent one, to emulate");
  }
  if (!forward) {
    PACKPROOF_TRY(OpResult gradients,
                  evaluate_gated_delta_rule_bwd(reader, chunked_rounding(format_of(precision))));
    return std::move(gradients.outputs);
  }
  PACKPROOF_TRY(const DeltaRuleInputs inputs, read_delta_rule_tokens(reader));
  const std::vector<int64_t> states = inputs.state_shape(inputs.problem.num_seqs());
  PACKPROOF_CHECK_OK(reader.check_output("output", inputs.v.shape()));
  PACKPROOF_CHECK_OK(reader.check_output("final_state", states));
  Tensor output(DType::kF64, inputs.v.shape());
  Tensor final_state(DType::kF64, states);
  double* const values = output.values<double>().data();
  double* const carried = final_state.values<double>().data();
  const Format format = format_of(precision);
  if (chunked) {
    gated_delta_rule_chunked(inputs.problem, call.attributes.chunk_size, values, carried,
                             chunked_rounding(format));
  } else {
    gated_delta_rule_emulated(inputs.problem, values, carried, recurrent_rounding(format));
  }
  TensorMap result;
  if (reader.wants("output")) result["output"] = std::move(output);
  if (inputs.pool && reader.wants("state")) result["state"] = inputs.pool->updated(final_state);
  if (reader.wants("final_state")) result["final_state"] = std::move(final_state);
  return result;
}

}  // namespace

Result<TensorMap> emulate(const OpCall& call, EmulatedPrecision precision) {
  try {
    return emulate_tokens(OpCallReader(call, false), precision);
  } catch (const std::bad_alloc&) {
    return infrastructure_error(std::string(name_of(call.op)) + ": memory ran out");
  }
}

}  // namespace packproof::reference
