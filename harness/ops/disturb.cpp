#include "harness/ops/packed_call.h"
#include "harness/ops/rows.h"

namespace packproof {
namespace {

constexpr double kLoudScale = 0x1p40;    // squares stay finite in f32 and bf16
constexpr double kLoudScaleF16 = 0x1p8;  // and in f16 products summed in f32

/// Rows of sequence `n` in the tensors of the given role: begin, count and the total.
struct RowSpan {
  int64_t begin = 0;
  int64_t count = 0;
  int64_t total = 0;
};

RowSpan rows_of_sequence(const PackedCall& packed, const TensorSchema& schema, const Tensor& tensor,
                         int64_t n) {
  const Packing& packing = packed.packing;
  switch (schema.role) {
    case TensorRole::kToken:
      return {packing.begin(n) * packed.rows_per_token, packing.length(n) * packed.rows_per_token,
              packing.total_rows() * packed.rows_per_token};
    case TensorRole::kSequence:
      return {n, 1, packing.num_seqs()};
    case TensorRole::kPool: {
      const int64_t slot = packed.call.input("state_indices").int_at(n);
      return {slot, slot < 0 ? 0 : 1, tensor.dim(0)};
    }
    case TensorRole::kShared:
    case TensorRole::kMetadata:
      break;
  }
  return {};
}

/// Signal tensors may be of any size; gates and beta have ranges that a loud value would leave.
bool is_signal(std::string_view name) { return name != "g" && name != "beta" && name != "a"; }

/// The inputs of the same case drawn from another seed.
Result<TensorMap> redrawn_inputs(const PackedCall& packed) {
  CaseSpec other = packed.spec;
  other.seed = ~packed.spec.seed;
  PACKPROOF_TRY(PackedCall redrawn, build_case(other));
  return std::move(redrawn.call.inputs);
}

void scale_rows(Tensor& tensor, const RowSpan& span, double factor) {
  const int64_t per_row = span.total == 0 ? 0 : tensor.numel() / span.total;
  for (int64_t i = span.begin * per_row; i < (span.begin + span.count) * per_row; ++i) {
    tensor.set(i, tensor.at(i) * factor);
  }
}

}  // namespace

std::string_view name_of(Disturbance disturbance) {
  switch (disturbance) {
    case Disturbance::kRedraw:
      return "fresh";
    case Disturbance::kLoud:
      return "loud";
    case Disturbance::kNan:
      return "NaN";
  }
  return "fresh";
}

Result<PackedCall> disturb(const PackedCall& packed, int64_t n, Disturbance disturbance) {
  PackedCall result = packed;
  TensorMap fresh;
  if (disturbance == Disturbance::kRedraw) {
    PACKPROOF_TRY(fresh, redrawn_inputs(packed));
  }
  for (const TensorSchema& schema : schema_of(packed.call.op, packed.call.direction)) {
    const std::string name(schema.name);
    if (schema.output || !result.call.has(name)) continue;
    Tensor& tensor = result.call.inputs[name];
    const RowSpan span = rows_of_sequence(packed, schema, tensor, n);
    for (int64_t r = 0; r < span.count; ++r) {
      if (disturbance == Disturbance::kRedraw) {
        copy_row(fresh.at(name), span.total, span.begin + r, tensor, span.total, span.begin + r);
      } else if (disturbance == Disturbance::kNan) {
        fill_row_with_nan(tensor, span.total, span.begin + r);
      }
    }
    if (disturbance == Disturbance::kLoud && is_signal(name)) {
      scale_rows(tensor, span, tensor.dtype() == DType::kF16 ? -kLoudScaleF16 : -kLoudScale);
    }
  }
  return result;
}

Result<PackedCall> redraw_future(const PackedCall& packed, const std::vector<int64_t>& from) {
  PackedCall result = packed;
  PACKPROOF_TRY(const TensorMap fresh, redrawn_inputs(packed));
  const int64_t per_token = packed.rows_per_token;
  const int64_t total = packed.packing.total_rows() * per_token;
  for (const TensorSchema& schema : schema_of(packed.call.op, packed.call.direction)) {
    const std::string name(schema.name);
    if (schema.output || schema.role != TensorRole::kToken || !result.call.has(name)) continue;
    Tensor& tensor = result.call.inputs[name];
    for (int64_t n = 0; n < packed.packing.num_seqs(); ++n) {
      const int64_t begin = packed.packing.begin(n);
      const int64_t first = (begin + from[static_cast<std::size_t>(n)]) * per_token;
      const int64_t end = (begin + packed.packing.length(n)) * per_token;
      for (int64_t row = first; row < end; ++row) {
        copy_row(fresh.at(name), total, row, tensor, total, row);
      }
    }
  }
  return result;
}

}  // namespace packproof
