#include "harness/truth/batch.h"

#include <algorithm>
#include <cstring>

namespace packproof {

namespace {

constexpr int64_t kIgnoredLabel = -100;

/// `tokens` [T] spread over the padded [N, L] layout, `fill` elsewhere.
Tensor spread(const Tensor& tokens, const Packing& packing, PadSide side, int64_t fill) {
  const PaddedLayout layout = padded_layout(packing, side);
  Tensor padded(DType::kI64, {layout.rows, layout.length});
  for (int64_t i = 0; i < padded.numel(); ++i) padded.set_int(i, fill);
  for (int64_t n = 0; n < packing.num_seqs(); ++n)
    for (int64_t t = 0; t < packing.length(n); ++t)
      padded.set_int(layout.index_of(packing, n, t), tokens.int_at(packing.begin(n) + t));
  return padded;
}

/// The rows `from` of a tensor read as [rows, X].
Tensor pick_rows(const Tensor& values, int64_t rows, const std::vector<int64_t>& from,
                 std::vector<int64_t> tail) {
  tail.insert(tail.begin(), static_cast<int64_t>(from.size()));
  Tensor picked(values.dtype(), tail);
  const Tensor source = values.is_contiguous() ? values : values.to(values.dtype());
  const std::size_t width = rows == 0 ? 0 : source.bytes().size() / static_cast<std::size_t>(rows);
  for (std::size_t i = 0; i < from.size(); ++i)
    std::memcpy(picked.bytes().data() + i * width,
                source.bytes().data() + static_cast<std::size_t>(from[i]) * width, width);
  return picked;
}

std::vector<int64_t> tail_shape(const Tensor& values) {
  return {values.shape().begin() + 2, values.shape().end()};
}

}  // namespace

reference::ModelBatch padded_batch(const TokenBatch& batch, PadSide side) {
  const Tensor mask = attention_mask(batch.packing, padded_layout(batch.packing, side));
  return {spread(batch.input_ids, batch.packing, side, 0), mask, mask_positions(mask), {}};
}

Tensor padded_labels(const TokenBatch& batch, PadSide side) {
  return spread(batch.labels, batch.packing, side, kIgnoredLabel);
}

reference::ModelBatch packed_batch(const TokenBatch& batch) {
  const std::span<const int64_t> boundaries = batch.packing.cu_seqlens();
  return {batch.input_ids.reshaped({1, batch.packing.total_tokens()}),
          std::nullopt,
          batch.packing.position_ids_tensor(),
          {boundaries.begin(), boundaries.end()}};
}

reference::ModelBatch alone_batch(const TokenBatch& batch, int64_t n) {
  const int64_t begin = batch.packing.begin(n);
  const int64_t length = batch.packing.length(n);
  return {batch.input_ids.slice(0, begin, begin + length).reshaped({1, length}),
          std::nullopt,
          std::nullopt,
          {}};
}

reference::ForwardOptions with_states(bool hidden_states) {
  reference::ForwardOptions options;
  options.states = true;
  options.hidden_states = hidden_states;
  return options;
}

Tensor token_rows(const Tensor& padded, const Packing& packing, PadSide side) {
  return masked_rows(padded, attention_mask(packing, padded_layout(packing, side)));
}

Tensor masked_rows(const Tensor& values, const Tensor& mask) {
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < mask.numel(); ++i)
    if (mask.int_at(i) != 0) rows.push_back(i);
  return pick_rows(values, mask.numel(), rows, tail_shape(values));
}

Tensor mask_positions(const Tensor& mask) {
  Tensor positions(DType::kI64, mask.shape());
  for (int64_t row = 0; row < mask.dim(0); ++row) {
    int64_t seen = 0;
    for (int64_t column = 0; column < mask.dim(1); ++column) {
      const int64_t at = row * mask.dim(1) + column;
      seen += mask.int_at(at);
      positions.set_int(at, mask.int_at(at) == 0 ? 0 : std::max<int64_t>(seen - 1, 0));
    }
  }
  return positions;
}

Tensor concatenate(const std::vector<Tensor>& parts, int64_t axis) {
  if (parts.empty()) return {};
  std::vector<int64_t> shape = parts.front().shape();
  const auto at = static_cast<std::size_t>(axis);
  int64_t outer = 1;
  for (std::size_t i = 0; i < at; ++i) outer *= shape[i];
  shape[at] = 0;
  for (const Tensor& part : parts) shape[at] += part.dim(axis);
  Tensor joined(parts.front().dtype(), shape);
  std::byte* target = joined.bytes().data();
  for (int64_t block = 0; block < outer; ++block) {
    for (const Tensor& part : parts) {
      const std::size_t size = part.bytes().size() / static_cast<std::size_t>(outer);
      std::memcpy(target, part.bytes().data() + static_cast<std::size_t>(block) * size, size);
      target += size;
    }
  }
  return joined;
}

std::string layer_name(int64_t layer) {
  const std::string text = std::to_string(layer);
  return text.size() < 2 ? "0" + text : text;
}

}  // namespace packproof
