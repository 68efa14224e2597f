#include "reference/evaluate.h"
#include "reference/gate_formulas.h"

#include <functional>

namespace packproof::reference {
namespace {

/// Elementwise ops as a table: for every output the formula of element (row, column).
template <typename Number>
using Element = std::function<Number(int64_t row, int64_t column)>;

template <typename Number>
using ElementFormulas = std::map<std::string, Element<Number>>;

/// Named tensors of a call, all [R, D] or [D].
struct GateInputs {
  TensorMap tensors;

  double at(const char* name, int64_t row, int64_t column) const {
    const Tensor& tensor = tensors.at(name);
    const int64_t width = tensor.shape().back();
    return tensor.values<double>()[static_cast<std::size_t>(
        tensor.rank() == 1 ? column : row * width + column)];
  }
};

/// g = -exp(A_log) softplus(a + dt_bias), beta = sigmoid(b) (spec 2.5 step 5) and their gradients
/// (spec 3.5). Gradients of A_log and dt_bias are those of one row: they are summed over rows.
template <typename Number>
ElementFormulas<Number> delta_rule_gate_formulas(const GateInputs& in) {
  const auto decay = [&in](int64_t column) {
    return LogDecayFormula<Number>{in.at("A_log", 0, column), in.at("dt_bias", 0, column)};
  };
  const auto d_a = [&in, decay](int64_t r, int64_t c) {
    return Number(in.at("d_g", r, c)) * decay(c).slope(in.at("a", r, c));
  };
  return {
      {"g", [&in, decay](int64_t r, int64_t c) { return decay(c).forward(in.at("a", r, c)); }},
      {"beta", [&in](int64_t r, int64_t c) { return sigmoid(Number(in.at("b", r, c))); }},
      {"d_a", d_a},
      {"d_dt_bias", d_a},
      {"d_A_log",
       [&in, decay](int64_t r, int64_t c) {
         return Number(in.at("d_g", r, c)) * decay(c).forward(in.at("a", r, c));
       }},
      {"d_b",
       [&in](int64_t r, int64_t c) {
         return Number(in.at("d_beta", r, c)) * sigmoid_slope(Number(in.at("b", r, c)));
       }},
  };
}

/// y = x sigmoid(gate) (spec 2.4 step 5).
template <typename Number>
ElementFormulas<Number> output_gate_formulas(const GateInputs& in) {
  using Formula = OutputGateFormula<Number>;
  return {
      {"output",
       [&in](int64_t r, int64_t c) {
         return Formula::forward(in.at("x", r, c), in.at("gate", r, c));
       }},
      {"d_x",
       [&in](int64_t r, int64_t c) {
         return Formula::d_x(in.at("gate", r, c), in.at("d_output", r, c));
       }},
      {"d_gate",
       [&in](int64_t r, int64_t c) {
         return Formula::d_gate(in.at("x", r, c), in.at("gate", r, c), in.at("d_output", r, c));
       }},
  };
}

/// y = silu(gate) up (spec 2.6).
template <typename Number>
ElementFormulas<Number> swiglu_formulas(const GateInputs& in) {
  using Formula = SwigluFormula<Number>;
  return {
      {"output",
       [&in](int64_t r, int64_t c) {
         return Formula::forward(in.at("gate", r, c), in.at("up", r, c));
       }},
      {"d_gate",
       [&in](int64_t r, int64_t c) {
         return Formula::d_gate(in.at("gate", r, c), in.at("up", r, c), in.at("d_output", r, c));
       }},
      {"d_up",
       [&in](int64_t r, int64_t c) {
         return Formula::d_up(in.at("gate", r, c), in.at("d_output", r, c));
       }},
  };
}

template <typename Number>
ElementFormulas<Number> formulas_of(Op op, const GateInputs& inputs) {
  if (op == Op::kDeltaRuleGate) return delta_rule_gate_formulas<Number>(inputs);
  if (op == Op::kOutputGate) return output_gate_formulas<Number>(inputs);
  return swiglu_formulas<Number>(inputs);
}

/// Fills a tensor of shape [R, D], or [D] with the sum over rows.
template <typename Number>
void fill(const Element<Number>& formula, int64_t rows, Tensor& target) {
  const std::span<double> values = target.values<double>();
  const int64_t width = target.shape().back();
  for (int64_t c = 0; c < width; ++c) {
    Sum<Number> sum;
    for (int64_t r = 0; r < rows; ++r) {
      const Number element = formula(r, c);
      if (target.rank() == 1) {
        sum.add(element);
      } else {
        values[static_cast<std::size_t>(r * width + c)] = outcome(element);
      }
    }
    if (target.rank() == 1) values[static_cast<std::size_t>(c)] = outcome(sum.total());
  }
}

}  // namespace

Result<OpResult> evaluate_gate(const OpCallReader& reader) {
  const OpCall& call = reader.call();
  GateInputs inputs;
  std::vector<int64_t> shape;
  for (const TensorSchema& schema : schema_of(call.op, call.direction)) {
    if (schema.output) continue;
    const std::string name(schema.name);
    if (shape.empty()) {
      PACKPROOF_TRY(shape, reader.shape(name, 2));
    }
    const bool shared = schema.role == TensorRole::kShared;
    PACKPROOF_TRY(inputs.tensors[name],
                  reader.values(name, shared ? std::vector<int64_t>{shape[1]} : shape));
  }
  const auto values = formulas_of<double>(call.op, inputs);
  const auto bounds = formulas_of<Float32Error>(call.op, inputs);
  OpResult result;
  for (const auto& [name, spec] : call.outputs) {
    const TensorSchema* const schema = find_schema(call.op, call.direction, name, true);
    const std::vector<int64_t> expected =
        schema->role == TensorRole::kShared ? std::vector<int64_t>{shape[1]} : shape;
    PACKPROOF_CHECK_OK(reader.check_output(name, expected));
    Tensor value(DType::kF64, expected);
    fill(values.at(name), shape[0], value);
    Tensor bound(DType::kF64, expected);
    fill(bounds.at(name), shape[0], bound);
    result.outputs[name] = std::move(value);
    result.float32_bounds[name] = std::move(bound);
  }
  return result;
}

}  // namespace packproof::reference
