#include "harness/ops/packed_call.h"

#include "harness/ops/rows.h"

#include <algorithm>

namespace packproof {
namespace {

constexpr int64_t kDefaultChunk = 64;

/// Leading axes of a token tensor that count rows: [B, T] or [R] or [N].
int64_t leading_rank(Geometry geometry) { return geometry == Geometry::kTokens ? 2 : 1; }

std::vector<int64_t> leading_shape(Geometry geometry, int64_t batch, int64_t rows) {
  if (geometry == Geometry::kTokens) return {batch, rows / batch};
  return {rows};
}

/// Values that a dense batch holds at pads: the mixer's own at a masked token (spec 4.1), where
/// k = v = q = 0, beta = 1/2 and the gate is not zero. With a carried state the gate is zero, since
/// the state must survive the padding.
double pad_value(const std::string& name, bool carried_state) {
  if (name == "beta") return 0.5;
  if (name == "g") return carried_state ? 0.0 : -0.03125;
  return 0.0;
}

/// Replaces every token tensor by rows gathered from it, and every output's leading axes.
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
  const bool carried = call.has("initial_state") || call.has("d_final_state");
  for (const TensorSchema& schema : schema_of(call.op, call.direction)) {
    if (schema.role != TensorRole::kToken) continue;
    const std::string name(schema.name);
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

/// Keeps the slices `order` of every per-sequence tensor.
void reorder_sequences(OpCall& call, const std::vector<int64_t>& order) {
  const auto count = static_cast<int64_t>(order.size());
  for (const TensorSchema& schema : schema_of(call.op, call.direction)) {
    const std::string name(schema.name);
    if (schema.role == TensorRole::kSequence || name == "state_indices") {
      if (!schema.output && call.has(name)) {
        call.inputs[name] = gather_rows(call.inputs[name], 1, {count}, order, 0.0);
      } else if (schema.output && call.outputs.contains(name)) {
        call.outputs[name].shape[0] = count;
      }
    }
  }
}

Packing make_packing(std::vector<int64_t> lengths, int64_t slack) {
  return Packing::from_lengths(std::move(lengths), slack).value();
}

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
    if (packed.spec.op != Op::kCausalConv1d || packed.spec.metadata != Metadata::kSeqIdx) {
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

PackedCall select_sequences(const PackedCall& packed, const std::vector<int64_t>& order,
                            int64_t slack) {
  const Geometry geometry = geometry_of(packed.call.op);
  std::vector<int64_t> lengths;
  std::vector<int64_t> from;
  for (const int64_t n : order) {
    lengths.push_back(packed.packing.length(n));
    if (geometry == Geometry::kSlots) {
      from.push_back(n);
      continue;
    }
    for (int64_t t = 0; t < packed.packing.length(n); ++t)
      from.push_back(packed.packing.begin(n) + t);
  }
  if (geometry != Geometry::kSlots) {
    from.insert(from.end(), static_cast<std::size_t>(slack), RowSource::kSlack);
  }
  PackedCall selected = packed;
  selected.packing = make_packing(lengths, slack);
  selected.spec.lens = std::move(lengths);
  selected.spec.slack = slack;
  regather_tokens(selected.call, geometry, 1, from, packed.rows_per_token);
  reorder_sequences(selected.call, order);
  return selected;
}

PackedCall cut_sequences(const PackedCall& packed, const std::vector<int64_t>& begin,
                         const std::vector<int64_t>& end) {
  std::vector<int64_t> lengths;
  std::vector<int64_t> from;
  for (int64_t n = 0; n < packed.packing.num_seqs(); ++n) {
    const auto i = static_cast<std::size_t>(n);
    lengths.push_back(end[i] - begin[i]);
    for (int64_t t = begin[i]; t < end[i]; ++t) from.push_back(packed.packing.begin(n) + t);
  }
  PackedCall cut = packed;
  cut.packing = make_packing(lengths, 0);
  cut.spec.lens = std::move(lengths);
  cut.spec.slack = 0;
  regather_tokens(cut.call, geometry_of(packed.call.op), 1, from, packed.rows_per_token);
  return cut;
}

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
  apply_strides(realised.call, geometry, packed.spec.stride);
  return realised;
}

PairedRows pair_rows(const RowMap& a, const RowMap& b, const PairOptions& options) {
  std::map<std::pair<int64_t, int64_t>, std::vector<int64_t>> places;
  for (std::size_t r = 0; r < b.size(); ++r) {
    if (b[r].sequence >= 0) places[{b[r].sequence, b[r].token}].push_back(static_cast<int64_t>(r));
  }
  std::map<std::pair<int64_t, int64_t>, std::size_t> used;
  PairedRows pairs;
  for (std::size_t r = 0; r < a.size(); ++r) {
    const Row& row = a[r];
    if (row.sequence < 0) continue;
    const auto n = static_cast<std::size_t>(row.sequence);
    if (options.map[n] < 0 || (row.token < 0 && !options.states)) continue;
    const int64_t shift = options.shift.empty() ? 0 : options.shift[n];
    const std::pair<int64_t, int64_t> key{options.map[n], row.token < 0 ? -1 : row.token - shift};
    const auto found = places.find(key);
    if (found == places.end()) continue;
    std::size_t& next = used[key];
    if (next >= found->second.size()) continue;
    pairs.a.push_back(static_cast<int64_t>(r));
    pairs.b.push_back(found->second[next++]);
  }
  return pairs;
}

}  // namespace packproof
