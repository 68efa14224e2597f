#include "reference/aten_tensor.h"
#include "reference/conv_formulas.h"
#include "reference/evaluate.h"
#include "reference/ops.h"
#include "reference/parallel.h"

#include <optional>

namespace packproof::reference {
namespace {

/// A call's tensors and the views that the formulas work on.
struct ConvInputs {
  Tensor x;
  Tensor weight;
  std::optional<Tensor> bias;
  std::optional<Tensor> initial_state;
  TokenPacking packing;
  ConvProblem problem;

  ConvInputs() = default;
  ConvInputs(ConvInputs&&) = default;  // Storage moves along with its address.
  ConvInputs(const ConvInputs&) = delete;

  std::vector<int64_t> state_shape(int64_t count) const {
    return {count, weight.dim(0), weight.dim(1) - 1};
  }

  void point() {
    const auto data = [](const std::optional<Tensor>& tensor) {
      return tensor ? tensor->values<double>().data() : nullptr;
    };
    problem.x = x.values<double>().data();
    problem.weight = weight.values<double>().data();
    problem.bias = data(bias);
    problem.initial_state = data(initial_state);
    problem.seq_idx = packing.seq_idx.empty() ? nullptr : packing.seq_idx.data();
    problem.num_rows = packing.num_rows();
    problem.channels = weight.dim(0);
    problem.width = weight.dim(1);
    problem.sequences = packing.sequences;
  }
};

Status read_weights(const OpCallReader& reader, int64_t channels, ConvInputs& inputs) {
  PACKPROOF_TRY(const std::vector<int64_t> shape, reader.shape("weight", 2));
  if (shape[1] < 1) return reader.refusal("expected 'weight' of at least one tap, found none");
  PACKPROOF_TRY(inputs.weight, reader.values("weight", {channels, shape[1]}));
  if (reader.has("bias")) {
    PACKPROOF_TRY(Tensor bias, reader.values("bias", {channels}));
    inputs.bias = std::move(bias);
  }
  inputs.problem.silu = reader.call().attributes.activation == Activation::kSilu;
  return {};
}

Result<ConvInputs> read_inputs(const OpCallReader& reader) {
  ConvInputs inputs;
  PACKPROOF_TRY(const std::vector<int64_t> shape, reader.shape("x", 3));
  PACKPROOF_CHECK_OK(read_weights(reader, shape[2], inputs));
  PACKPROOF_TRY(inputs.packing, reader.packing(shape[0], shape[1]));
  PACKPROOF_TRY(inputs.x, reader.values("x", shape, inputs.packing.owned));
  for (const char* name : {"initial_state", "final_state", "d_final_state", "d_initial_state"}) {
    if ((reader.has(name) || reader.wants(name)) && !inputs.packing.has_states) {
      return reader.refusal(std::string("expected seq_idx that defines sequences beside '") + name +
                            "', found ids that decrease or resume after a negative one");
    }
  }
  if (reader.has("initial_state")) {
    PACKPROOF_TRY(Tensor state,
                  reader.values("initial_state", inputs.state_shape(inputs.packing.num_seqs())));
    inputs.initial_state = std::move(state);
  }
  inputs.point();
  return inputs;
}

ConvResult definition(const ConvInputs& inputs) {
  const auto optional = [](const std::optional<Tensor>& tensor) {
    return tensor ? std::optional(to_aten(*tensor)) : std::nullopt;
  };
  return causal_conv1d(to_aten(inputs.x), to_aten(inputs.weight), optional(inputs.bias),
                       optional(inputs.initial_state), inputs.packing.cu_seqlens,
                       inputs.problem.silu, inputs.packing.seq_idx);
}

Tensor output_bound(const ConvProblem& problem, const std::vector<int64_t>& shape) {
  Tensor bound(DType::kF64, shape);
  double* const values = bound.values<double>().data();
  const ConvFormula<Float32Error> formula(problem);
  run_parallel(problem.channels, 0, [&](int64_t channel) { formula.forward(channel, values); });
  return bound;
}

Result<OpResult> forward(const OpCallReader& reader) {
  PACKPROOF_TRY(const ConvInputs inputs, read_inputs(reader));
  const std::vector<int64_t> state_shape = inputs.state_shape(inputs.packing.num_seqs());
  PACKPROOF_CHECK_OK(reader.check_output("output", inputs.x.shape()));
  PACKPROOF_CHECK_OK(reader.check_output("final_state", state_shape));
  const ConvResult values = definition(inputs);
  OpResult result;
  if (reader.wants("output")) {
    result.outputs["output"] = from_aten(values.output);
    result.float32_bounds["output"] = output_bound(inputs.problem, inputs.x.shape());
  }
  if (reader.wants("final_state")) {  // A copy of inputs: exact.
    result.outputs["final_state"] = from_aten(values.final_state);
    result.float32_bounds["final_state"] = Tensor(DType::kF64, state_shape);
  }
  return result;
}

template <typename Number>
void gradients_of(const ConvInputs& inputs, const Tensor& d_output,
                  const std::optional<Tensor>& d_final_state, TensorMap& results) {
  const auto place = [&](const char* name) {
    const auto found = results.find(name);
    return found == results.end() ? nullptr : found->second.values<double>().data();
  };
  const ConvGradients gradients{place("d_x"), place("d_weight"), place("d_bias"),
                                place("d_initial_state")};
  const double* const d_y = d_output.values<double>().data();
  const double* const d_state = d_final_state ? d_final_state->values<double>().data() : nullptr;
  const ConvFormula<Number> formula(inputs.problem);
  run_parallel(inputs.problem.channels, 0,
               [&](int64_t channel) { formula.backward(channel, d_y, d_state, gradients); });
}

Result<OpResult> backward(const OpCallReader& reader) {
  PACKPROOF_TRY(const ConvInputs inputs, read_inputs(reader));
  const std::vector<int64_t> state_shape = inputs.state_shape(inputs.packing.num_seqs());
  PACKPROOF_TRY(const Tensor d_output,
                reader.values("d_output", inputs.x.shape(), inputs.packing.owned));
  std::optional<Tensor> d_final_state;
  if (reader.has("d_final_state")) {
    PACKPROOF_TRY(Tensor tensor, reader.values("d_final_state", state_shape));
    d_final_state = std::move(tensor);
  }
  const std::map<std::string, std::vector<int64_t>> shapes{
      {"d_x", inputs.x.shape()},
      {"d_weight", inputs.weight.shape()},
      {"d_bias", {inputs.problem.channels}},
      {"d_initial_state", state_shape},
  };
  OpResult result;
  for (const auto& [name, shape] : shapes) {
    if (!reader.wants(name)) continue;
    PACKPROOF_CHECK_OK(reader.check_output(name, shape));
    result.outputs[name] = Tensor(DType::kF64, shape);
    result.float32_bounds[name] = Tensor(DType::kF64, shape);
  }
  gradients_of<double>(inputs, d_output, d_final_state, result.outputs);
  gradients_of<Float32Error>(inputs, d_output, d_final_state, result.float32_bounds);
  return result;
}

}  // namespace

Result<OpResult> evaluate_causal_conv1d(const OpCallReader& reader) {
  return reader.call().direction == Direction::kForward ? forward(reader) : backward(reader);
}

// Every sequence is one row; its slot holds the initial state and receives the final one.
Result<OpResult> evaluate_causal_conv1d_update(const OpCallReader& reader) {
  ConvInputs inputs;
  PACKPROOF_TRY(const std::vector<int64_t> shape, reader.shape("x", 2));
  const int64_t count = shape[0];
  PACKPROOF_CHECK_OK(read_weights(reader, shape[1], inputs));
  PACKPROOF_TRY(const std::vector<int64_t> pool_shape, reader.shape("conv_state", 3));
  PACKPROOF_TRY(const std::vector<int64_t> slots, reader.slots(count, pool_shape[0]));
  OwnedRows used(static_cast<std::size_t>(pool_shape[0]), false);
  inputs.packing.batch = count;
  inputs.packing.length = 1;
  for (int64_t n = 0; n < count; ++n) {
    const int64_t slot = slots[static_cast<std::size_t>(n)];
    inputs.packing.owned.push_back(slot >= 0);
    inputs.packing.sequences.push_back({n, n + 1});
    if (slot >= 0) used[static_cast<std::size_t>(slot)] = true;
  }
  PACKPROOF_TRY(const Tensor pool,
                reader.values("conv_state", inputs.state_shape(pool_shape[0]), used));
  PACKPROOF_TRY(const Tensor x, reader.values("x", shape, inputs.packing.owned));
  PACKPROOF_CHECK_OK(reader.check_output("output", shape));
  PACKPROOF_CHECK_OK(reader.check_output("conv_state", pool_shape));

  const int64_t slot_size = pool.numel() / std::max<int64_t>(pool_shape[0], 1);
  inputs.x = x.reshaped({count, 1, shape[1]});
  inputs.initial_state = Tensor(DType::kF64, inputs.state_shape(count));
  const auto copy_slot = [&](const Tensor& from, int64_t a, Tensor& to, int64_t b) {
    for (int64_t i = 0; i < slot_size; ++i) to.set(b * slot_size + i, from.at(a * slot_size + i));
  };
  for (int64_t n = 0; n < count; ++n) {
    const int64_t slot = slots[static_cast<std::size_t>(n)];
    if (slot >= 0) copy_slot(pool, slot, *inputs.initial_state, n);
  }
  inputs.point();

  const ConvResult values = definition(inputs);
  OpResult result;
  Tensor output = from_aten(values.output).reshaped(shape);
  Tensor bound = output_bound(inputs.problem, shape);
  const Tensor states = from_aten(values.final_state);
  Tensor new_pool = reader.call().input("conv_state").to(DType::kF64);
  for (int64_t n = 0; n < count; ++n) {
    const int64_t slot = slots[static_cast<std::size_t>(n)];
    if (slot >= 0) copy_slot(states, n, new_pool, slot);
    for (int64_t c = 0; slot < 0 && c < shape[1]; ++c) {
      output.set(n * shape[1] + c, 0.0);
      bound.set(n * shape[1] + c, 0.0);
    }
  }
  if (reader.wants("output")) {
    result.outputs["output"] = std::move(output);
    result.float32_bounds["output"] = std::move(bound);
  }
  if (reader.wants("conv_state")) {
    result.outputs["conv_state"] = std::move(new_pool);
    result.float32_bounds["conv_state"] = Tensor(DType::kF64, pool_shape);
  }
  return result;
}

}  // namespace packproof::reference
