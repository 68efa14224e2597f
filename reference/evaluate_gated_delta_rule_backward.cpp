#include "reference/delta_rule_bounds.h"
#include "reference/delta_rule_inputs.h"
#include "reference/evaluate.h"
#include "reference/gate_formulas.h"
#include "reference/gated_delta_rule_chunked.h"
#include "reference/gated_delta_rule_derived_backward.h"

namespace packproof::reference {
namespace {

std::map<std::string, std::vector<int64_t>> gradient_shapes(const DeltaRuleInputs& inputs) {
  std::map<std::string, std::vector<int64_t>> shapes{
      {"d_q", inputs.q.shape()},
      {"d_k", inputs.k.shape()},
      {"d_v", inputs.v.shape()},
      {"d_beta", inputs.beta.shape()},
      {"d_initial_state", inputs.state_shape(inputs.problem.num_seqs())},
  };
  if (inputs.gate_in_op()) {
    shapes["d_a"] = inputs.a.shape();
    shapes["d_A_log"] = inputs.A_log.shape();
    shapes["d_dt_bias"] = inputs.dt_bias.shape();
  } else {
    shapes["d_g"] = inputs.g.shape();
  }
  return shapes;
}

/// From the gradient of g to those of a, A_log and dt_bias (spec 3.5), with the errors that dg
/// brings along.
void through_gate(const DeltaRuleInputs& inputs, const Tensor& d_g, const Tensor& d_g_bound,
                  OpResult& result) {
  const int64_t heads = inputs.problem.value_heads;
  const auto count = static_cast<std::size_t>(heads);
  std::vector<Sum<double>> d_A_log(count), d_dt_bias(count);
  std::vector<Sum<Float32Error>> A_log_bound(count), dt_bias_bound(count);
  const auto put = [&](const char* name, int64_t place, double value, double bound) {
    if (!result.outputs.contains(name)) return;
    result.outputs[name].set(place, value);
    if (result.float32_bounds.contains(name)) result.float32_bounds[name].set(place, bound);
  };
  for (int64_t i = 0; i < d_g.numel(); ++i) {
    const auto head = static_cast<std::size_t>(i % heads);
    const double A_log = inputs.A_log.at(i % heads);
    const double dt_bias = inputs.dt_bias.at(i % heads);
    const double a = inputs.a.at(i);
    const LogDecayFormula<double> value{A_log, dt_bias};
    const LogDecayFormula<Float32Error> bound{A_log, dt_bias};
    const Float32Error d_decay{d_g.at(i), d_g_bound.at(i)};
    const double d_a = d_g.at(i) * value.slope(a);
    const Float32Error d_a_bound = d_decay * bound.slope(a);
    put("d_a", i, d_a, d_a_bound.error);
    d_dt_bias[head].add(d_a);
    dt_bias_bound[head].add(d_a_bound);
    d_A_log[head].add_product(d_g.at(i), value.forward(a));
    A_log_bound[head].add_product(d_decay, bound.forward(a));
  }
  for (int64_t h = 0; h < heads; ++h) {
    const auto head = static_cast<std::size_t>(h);
    put("d_A_log", h, d_A_log[head].total(), A_log_bound[head].total().error);
    put("d_dt_bias", h, d_dt_bias[head].total(), dt_bias_bound[head].total().error);
  }
}

DeltaRuleGradients places(TensorMap& tensors, Tensor& d_g) {
  const auto place = [&](const char* name) {
    const auto found = tensors.find(name);
    return found == tensors.end() ? nullptr : found->second.values<double>().data();
  };
  return {place("d_q"),    place("d_k"),
          place("d_v"),    d_g.values<double>().data(),
          place("d_beta"), place("d_initial_state")};
}

/// Gradients by the op's own form. The bounds are those of the recurrent form; a chunked op adds
/// what its running sums over decays lose.
void differentiate(const OpCall& call, const DeltaRuleInputs& inputs,
                   const DeltaRuleCotangents& cotangents, const DeltaRuleGradients& gradients,
                   const DeltaRuleGradients* bounds, const DeltaRuleRounding& rounding) {
  const DeltaRuleProblem& problem = inputs.problem;
  if (call.op != Op::kChunkGatedDeltaRule) {
    gated_delta_rule_derived_backward(problem, cotangents, gradients, bounds, inputs.g_errors());
    return;
  }
  const int64_t chunk_size = call.attributes.chunk_size;
  const std::vector<double> g_error = chunked_g_error(problem, inputs.g_errors(), chunk_size);
  if (bounds != nullptr) {
    gated_delta_rule_derived_backward(problem, cotangents, {}, bounds, g_error.data());
  }
  std::vector<double> magnitude(g_error.size(), 0.0);
  gated_delta_rule_chunked_backward(problem, chunk_size, cotangents, gradients, magnitude.data(),
                                    rounding);
  const double units = chunked_g_gradient_units(problem, chunk_size);
  for (std::size_t i = 0; bounds != nullptr && i < magnitude.size(); ++i) {
    bounds->g[i] += kFloat32Unit * units * magnitude[i];
  }
}

}  // namespace

Result<OpResult> evaluate_gated_delta_rule_bwd(const OpCallReader& reader,
                                               const DeltaRuleRounding& rounding) {
  PACKPROOF_TRY(const DeltaRuleInputs inputs, read_delta_rule_tokens(reader));
  PACKPROOF_TRY(const TokenValues d_output,
                reader.token_values("d_output", inputs.v.shape(), inputs.owned));
  Tensor d_final_state;
  if (reader.has("d_final_state")) {
    PACKPROOF_TRY(d_final_state,
                  reader.values("d_final_state", inputs.state_shape(inputs.problem.num_seqs())));
  }
  const auto shapes = gradient_shapes(inputs);
  OpResult result;
  for (const auto& [name, spec] : reader.call().outputs) {
    const auto shape = shapes.find(name);
    if (shape == shapes.end()) {
      return reader.refusal(
          "expected gradients of the gate as it was given, found a request for '" + name + "'");
    }
    PACKPROOF_CHECK_OK(reader.check_output(name, shape->second));
    result.outputs[name] = Tensor(DType::kF64, shape->second);
    if (reader.wants_bounds()) result.float32_bounds[name] = Tensor(DType::kF64, shape->second);
  }
  Tensor d_g(DType::kF64, inputs.g.shape());
  Tensor d_g_bound(DType::kF64, inputs.g.shape());
  const DeltaRuleGradients gradients = places(result.outputs, d_g);
  const DeltaRuleGradients bounds = places(result.float32_bounds, d_g_bound);
  const DeltaRuleCotangents cotangents{
      d_output.stored(),
      reader.has("d_final_state") ? d_final_state.values<double>().data() : nullptr};
  differentiate(reader.call(), inputs, cotangents, gradients,
                reader.wants_bounds() ? &bounds : nullptr, rounding);
  if (inputs.gate_in_op()) {
    through_gate(inputs, d_g, d_g_bound, result);
  } else if (reader.wants("d_g")) {
    result.outputs["d_g"] = std::move(d_g);
    if (reader.wants_bounds()) result.float32_bounds["d_g"] = std::move(d_g_bound);
  }
  return result;
}

}  // namespace packproof::reference
