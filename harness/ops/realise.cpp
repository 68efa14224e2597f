#include "harness/ops/packed_call.h"
#include "harness/ops/regather.h"
#include "harness/ops/rows.h"

#include <algorithm>

namespace packproof {
namespace {

constexpr int64_t kDefaultChunk = 64;

std::vector<int64_t> strides_with_pitch(const std::vector<int64_t>& shape, int64_t leading,
                                        int64_t pitch) {
  std::vector<int64_t> strides = contiguous_strides(shape);
  int64_t stride = pitch;
  for (int64_t axis = leading - 1; axis >= 0; --axis) {
    strides[static_cast<std::size_t>(axis)] = stride;
    stride *= shape[static_cast<std::size_t>(axis)];
  }
  return strides;
}

int64_t pitch_of(StrideKind kind, int64_t inner) {
  if (kind == StrideKind::kFused) return 3 * inner + 8;
  return inner % 2 == 0 ? inner + 1 : inner + 2;
}

void apply_strides(OpCall& call, Geometry geometry, StrideKind kind) {
  if (kind == StrideKind::kContiguous) return;
  const int64_t leading = leading_rank(geometry);
  const auto inner_of = [&](const std::vector<int64_t>& shape) {
    int64_t inner = 1;
    for (std::size_t i = static_cast<std::size_t>(leading); i < shape.size(); ++i)
      inner *= shape[i];
    return inner;
  };
  const TensorRole rows_role =
      geometry == Geometry::kSlots ? TensorRole::kSequence : TensorRole::kToken;
  for (const TensorSchema& schema : schema_of(call.op, call.direction)) {
    if (schema.role != rows_role) continue;
    const std::string name(schema.name);
    if (!schema.output && call.has(name)) {
      const std::vector<int64_t>& shape = call.inputs[name].shape();
      call.inputs[name] = call.inputs[name].with_strides(
          strides_with_pitch(shape, leading, pitch_of(kind, inner_of(shape))), std::byte{0xFF});
    } else if (schema.output && kind == StrideKind::kUnaligned && call.outputs.contains(name)) {
      OutputSpec& spec = call.outputs[name];
      spec.strides = strides_with_pitch(spec.shape, leading, pitch_of(kind, inner_of(spec.shape)));
    }
  }
}

Row token_row(const PackedCall& packed, int64_t n, int64_t t) {
  const int64_t length = packed.packing.length(n);
  const int64_t chunk = packed.call.op == Op::kChunkGatedDeltaRule
                            ? packed.call.attributes.chunk_size
                            : kDefaultChunk;
  return {RowKind::kToken, n, t, region_of_token(t, length, packed.spec.conv_width, chunk)};
}

/// Rows of every output, given the meaning of the token-level rows.
std::map<std::string, RowMap> output_rows(const PackedCall& packed, const OpCall& call,
                                          const RowMap& tokens) {
  std::map<std::string, RowMap> rows;
  for (const auto& [name, spec] : call.outputs) {
    const TensorSchema* schema = find_schema(call.op, call.direction, name, true);
    RowMap& map = rows[name];
    switch (schema->role) {
      case TensorRole::kToken:
        for (const Row& row : tokens) {
          map.insert(map.end(), static_cast<std::size_t>(packed.rows_per_token), row);
        }
        break;
      case TensorRole::kSequence:
        if (geometry_of(call.op) == Geometry::kSlots) {
          map = tokens;
          break;
        }
        for (int64_t n = 0; n < spec.shape[0]; ++n) {
          map.push_back({RowKind::kState, n, -1, Region::kFinalState});
        }
        break;
      case TensorRole::kPool: {
        map.assign(static_cast<std::size_t>(spec.shape[0]),
                   {RowKind::kUntouched, -1, -1, Region::kFinalState});
        const Tensor& indices = call.input("state_indices");
        for (int64_t n = 0; n < indices.numel(); ++n) {
          const int64_t slot = indices.int_at(n);
          if (slot >= 0)
            map[static_cast<std::size_t>(slot)] = {RowKind::kState, n, -1, Region::kFinalState};
        }
        break;
      }
      case TensorRole::kShared:
      case TensorRole::kMetadata:
        map.push_back({RowKind::kShared, -1, -1, Region::kShared});
        break;
    }
  }
  return rows;
}

Realised realise_slots(const PackedCall& packed) {
  Realised realised{packed.call, {}};
  RowMap tokens;
  const Tensor& indices = packed.call.input("state_indices");
  for (int64_t n = 0; n < packed.packing.num_seqs(); ++n) {
    const bool skipped = indices.int_at(n) < 0;
    tokens.push_back({skipped ? RowKind::kZero : RowKind::kToken, n, 0,
                      skipped ? Region::kZeroRow : Region::kInterior});
  }
  realised.rows = output_rows(packed, realised.call, tokens);
  return realised;
}

Realised realise_packed(const PackedCall& packed, Geometry geometry) {
  Realised realised{packed.call, {}};
  const Packing& packing = packed.packing;
  const bool with_ids = geometry == Geometry::kTokens && packed.spec.op == Op::kCausalConv1d &&
                        packed.spec.metadata != Metadata::kCuSeqlens;
  if (geometry == Geometry::kTokens) {
    if (is_packed_op(packed.spec.op) && packed.spec.metadata != Metadata::kSeqIdx) {
      realised.call.inputs["cu_seqlens"] = packing.cu_seqlens_tensor(packed.spec.cu_dtype);
    }
    if (with_ids) realised.call.inputs["seq_idx"] = packing.seq_idx_tensor();
  }
  RowMap tokens;
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    for (int64_t t = 0; t < packing.length(n); ++t) tokens.push_back(token_row(packed, n, t));
  }
  const Row slack = with_ids ? Row{RowKind::kZero, -1, -1, Region::kZeroRow}
                             : Row{RowKind::kSlack, -1, -1, Region::kZeroRow};
  tokens.insert(tokens.end(), static_cast<std::size_t>(packing.slack()), slack);
  realised.rows = output_rows(packed, realised.call, tokens);
  return realised;
}

Realised realise_dense(const PackedCall& packed, Geometry geometry, PadSide side, int64_t pad) {
  const Packing& packing = packed.packing;
  const PaddedLayout layout = padded_layout(packing, side, pad);
  std::vector<int64_t> from(static_cast<std::size_t>(layout.rows * layout.length), RowSource::kPad);
  RowMap tokens(from.size(), {RowKind::kPad, -1, -1, Region::kInterior});
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    for (int64_t t = 0; t < packing.length(n); ++t) {
      const auto target = static_cast<std::size_t>(layout.index_of(packing, n, t));
      from[target] = packing.begin(n) + t;
      tokens[target] = token_row(packed, n, t);
    }
  }
  Realised realised{packed.call, {}};
  regather_tokens(realised.call, geometry, std::max<int64_t>(layout.rows, 1), from,
                  packed.rows_per_token);
  realised.rows = output_rows(packed, realised.call, tokens);
  return realised;
}

}  // namespace

Realised realise(const PackedCall& packed) {
  return realise_as(packed, packed.spec.layout, packed.spec.pad);
}

Realised realise_as(const PackedCall& packed, BatchLayout layout, int64_t pad) {
  const Geometry geometry = geometry_of(packed.call.op);
  Realised realised;
  if (geometry == Geometry::kSlots) {
    realised = realise_slots(packed);
  } else if (layout == BatchLayout::kPacked) {
    realised = realise_packed(packed, geometry);
  } else {
    realised =
        realise_dense(packed, geometry,
                      layout == BatchLayout::kPaddedLeft ? PadSide::kLeft : PadSide::kRight, pad);
  }
  realised.call.attributes.max_seqlen = packed.packing.max_seqlen();
  realised.call.attributes.host_metadata = packed.spec.host_metadata;
  apply_strides(realised.call, geometry, packed.spec.stride);
  return realised;
}

}  // namespace packproof
