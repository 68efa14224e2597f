#include "harness/judge/gathered_call.h"

#include "harness/ops/rows.h"

namespace packproof {
namespace {

constexpr int64_t kLeadingAxes = 2;  // [B, T, ..]

std::vector<int64_t> rows_of(const std::vector<Span>& spans) {
  std::vector<int64_t> rows;
  for (const Span& span : spans) {
    for (int64_t row = span.begin; row < span.begin + span.length; ++row) rows.push_back(row);
  }
  return rows;
}

Result<Tensor> gathered(const TensorSchema& schema, const Tensor& tensor,
                        const std::vector<int64_t>& rows, const std::vector<Span>& spans) {
  if (schema.role == TensorRole::kToken) {
    const auto count = static_cast<int64_t>(rows.size());
    const Tensor source = tensor.is_contiguous() ? tensor : tensor.to(tensor.dtype());
    return gather_rows(source, kLeadingAxes, {1, count}, rows, 0.0);
  }
  if (schema.role == TensorRole::kSequence && tensor.dim(0) != static_cast<int64_t>(spans.size())) {
    return invalid_input("expected '" + std::string(schema.name) + "' of " +
                         std::to_string(spans.size()) + " sequences, found " +
                         std::to_string(tensor.dim(0)));
  }
  return tensor;
}

RowMap token_rows(const MappedCall& call, const std::vector<Span>& spans) {
  const auto weight = call.inputs.find("weight");
  const int64_t width = weight == call.inputs.end() ? 1 : weight->second.dim(1);
  RowMap rows;
  for (std::size_t n = 0; n < spans.size(); ++n) {
    for (int64_t t = 0; t < spans[n].length; ++t) {
      rows.push_back({RowKind::kToken, static_cast<int64_t>(n), t,
                      region_of_token(t, spans[n].length, width, call.attributes.chunk_size)});
    }
  }
  return rows;
}

}  // namespace

Result<GatheredCall> gather_call(const MappedCall& call, const std::vector<Span>& spans,
                                 Direction direction, bool states) {
  const bool backward = direction == Direction::kBackward;
  const std::vector<int64_t> rows = rows_of(spans);
  GatheredCall result;
  OpCall& target = result.realised.call;
  target.op = call.op;
  target.direction = direction;
  target.attributes = call.attributes;
  std::vector<int64_t> lengths;
  for (const Span& span : spans) lengths.push_back(span.length);
  PACKPROOF_TRY(const Packing packing, Packing::from_lengths(std::move(lengths)));
  target.inputs["cu_seqlens"] = packing.cu_seqlens_tensor(DType::kI32);
  const TensorMap none;
  for (const TensorMap* source : {&call.inputs, backward ? &call.upstream : &none}) {
    for (const auto& [name, tensor] : *source) {
      const TensorSchema* schema = find_schema(call.op, direction, name, false);
      if (schema == nullptr) continue;
      if (schema->role == TensorRole::kSequence && !states && name != "initial_state") continue;
      PACKPROOF_TRY(target.inputs[name], gathered(*schema, tensor, rows, spans));
    }
  }
  for (const auto& [name, tensor] : backward ? call.gradients : call.outputs) {
    const TensorSchema* schema = find_schema(call.op, direction, name, true);
    if (schema == nullptr || (schema->role == TensorRole::kSequence && !states)) continue;
    PACKPROOF_TRY(result.got[name], gathered(*schema, tensor, rows, spans));
    target.outputs[name] = {tensor.dtype(), result.got[name].shape(), {}};
    RowMap& map = result.realised.rows[name];
    if (schema->role == TensorRole::kToken) {
      map = token_rows(call, spans);
    } else if (schema->role == TensorRole::kSequence) {
      for (std::size_t n = 0; n < spans.size(); ++n) {
        map.push_back({RowKind::kState, static_cast<int64_t>(n), -1, Region::kFinalState});
      }
    } else {
      map.push_back({RowKind::kShared, -1, -1, Region::kShared});
    }
  }
  if (backward && !target.has("d_output")) {
    // Only the final state was used: no gradient arrived at the output.
    const Tensor& output = call.outputs.at("output");
    const TensorSchema* schema = find_schema(call.op, direction, "d_output", false);
    PACKPROOF_TRY(target.inputs["d_output"],
                  gathered(*schema, Tensor(output.dtype(), output.shape()), rows, spans));
  }
  return result;
}

}  // namespace packproof
