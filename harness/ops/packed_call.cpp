#include "harness/ops/packed_call.h"

#include "harness/ops/regather.h"
#include "harness/ops/rows.h"

#include <algorithm>

namespace packproof {
namespace {

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

}  // namespace

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
    if (!options.end.empty() && row.token >= options.end[n]) continue;
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
