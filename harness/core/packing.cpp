#include "harness/core/packing.h"

#include <algorithm>
#include <array>
#include <string>

namespace packproof {
namespace {

std::string at_entry(std::string_view field, std::size_t index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

constexpr std::array kClasses{
    LayoutClass::kSingle,          LayoutClass::kEqual,          LayoutClass::kSingles,
    LayoutClass::kShorterThanConv, LayoutClass::kChunkMultiples, LayoutClass::kChunkEdges,
    LayoutClass::kImbalanced,      LayoutClass::kEmptyFront,     LayoutClass::kEmptyMiddle,
    LayoutClass::kEmptyEnd,        LayoutClass::kSlack,          LayoutClass::kRagged};

constexpr std::array<std::string_view, kClasses.size()> kClassNames{
    "single",          "equal",       "singles",    "shorter_than_conv",
    "chunk_multiples", "chunk_edges", "imbalanced", "empty_front",
    "empty_middle",    "empty_end",   "slack",      "ragged"};

constexpr int64_t kImbalanceRatio = 16;

bool is_imbalanced(std::span<const int64_t> lengths) {
  std::vector<int64_t> sorted(lengths.begin(), lengths.end());
  std::sort(sorted.begin(), sorted.end());
  // Twice the median, so that the mean of two middle lengths stays an integer.
  const int64_t twice_median = sorted[(sorted.size() - 1) / 2] + sorted[sorted.size() / 2];
  return 2 * sorted.back() >= kImbalanceRatio * twice_median;
}

bool is_chunk_edge(int64_t length, int64_t chunk_size) {
  const int64_t nearest = (length + chunk_size / 2) / chunk_size;
  return nearest >= 1 && std::abs(length - nearest * chunk_size) <= 1;
}

}  // namespace

std::string_view name_of(LayoutClass layout) {
  return kClassNames[static_cast<std::size_t>(layout)];
}

std::span<const LayoutClass> all_layout_classes() { return kClasses; }

Result<Packing> Packing::from_lengths(std::vector<int64_t> lengths, int64_t slack) {
  if (static_cast<int64_t>(lengths.size()) > kMaxSequences) {
    return invalid_input("lengths: expected at most " + std::to_string(kMaxSequences) +
                         " sequences, found " + std::to_string(lengths.size()));
  }
  if (slack < 0 || slack > kMaxRows) {
    return invalid_input("slack: expected 0 to " + std::to_string(kMaxRows) + " rows, found " +
                         std::to_string(slack));
  }
  Packing packing;
  packing.cu_seqlens_.reserve(lengths.size() + 1);
  for (std::size_t n = 0; n < lengths.size(); ++n) {
    if (lengths[n] < 0) {
      return invalid_input(at_entry("lengths", n) + ": expected a length >= 0, found " +
                           std::to_string(lengths[n]));
    }
    if (lengths[n] > kMaxRows || packing.cu_seqlens_.back() + lengths[n] > kMaxRows) {
      return invalid_input("lengths: expected at most " + std::to_string(kMaxRows) +
                           " tokens in all, found more at " + at_entry("lengths", n) + " = " +
                           std::to_string(lengths[n]));
    }
    packing.cu_seqlens_.push_back(packing.cu_seqlens_.back() + lengths[n]);
  }
  packing.lengths_ = std::move(lengths);
  packing.slack_ = slack;
  return packing;
}

Result<Packing> Packing::from_cu_seqlens(std::span<const int64_t> cu_seqlens, int64_t total_rows) {
  if (cu_seqlens.empty()) {
    return invalid_input("cu_seqlens: expected at least one entry, found none");
  }
  if (cu_seqlens.front() != 0) {
    return invalid_input("cu_seqlens[0]: expected 0, found " + std::to_string(cu_seqlens.front()));
  }
  for (std::size_t i = 1; i < cu_seqlens.size(); ++i) {
    if (cu_seqlens[i] < cu_seqlens[i - 1]) {
      return invalid_input(at_entry("cu_seqlens", i) + ": expected at least " +
                           std::to_string(cu_seqlens[i - 1]) + " (the entry before), found " +
                           std::to_string(cu_seqlens[i]));
    }
  }
  if (cu_seqlens.back() > total_rows) {
    return invalid_input(at_entry("cu_seqlens", cu_seqlens.size() - 1) + ": expected at most " +
                         std::to_string(total_rows) + " (the rows there are), found " +
                         std::to_string(cu_seqlens.back()));
  }
  std::vector<int64_t> lengths(cu_seqlens.size() - 1);
  for (std::size_t n = 0; n < lengths.size(); ++n) lengths[n] = cu_seqlens[n + 1] - cu_seqlens[n];
  return from_lengths(std::move(lengths), total_rows - cu_seqlens.back());
}

Result<Packing> Packing::from_seq_idx(std::span<const int64_t> seq_idx) {
  std::vector<int64_t> lengths;
  int64_t slack = 0;
  for (std::size_t row = 0; row < seq_idx.size(); ++row) {
    const int64_t id = seq_idx[row];
    if (id < 0) {
      ++slack;
      continue;
    }
    if (slack > 0) {
      return invalid_input(at_entry("seq_idx", row) +
                           ": expected only ids below 0 after the first one, found " +
                           std::to_string(id));
    }
    if (id >= kMaxSequences) {
      return invalid_input(at_entry("seq_idx", row) + ": expected an id below " +
                           std::to_string(kMaxSequences) + ", found " + std::to_string(id));
    }
    if (id + 1 < static_cast<int64_t>(lengths.size())) {
      return invalid_input(at_entry("seq_idx", row) + ": expected an id of at least " +
                           std::to_string(lengths.size() - 1) + " (ids do not decrease), found " +
                           std::to_string(id));
    }
    lengths.resize(static_cast<std::size_t>(id) + 1);
    ++lengths.back();
  }
  return from_lengths(std::move(lengths), slack);
}

int64_t Packing::max_seqlen() const {
  return lengths_.empty() ? 0 : *std::max_element(lengths_.begin(), lengths_.end());
}

Tensor Packing::cu_seqlens_tensor(DType dtype) const {
  return Tensor::from_ints(dtype, {num_seqs() + 1}, cu_seqlens_);
}

Tensor Packing::seq_idx_tensor() const {
  Tensor tensor(DType::kI32, {1, total_rows()});
  for (int64_t n = 0; n < num_seqs(); ++n) {
    for (int64_t row = begin(n); row < begin(n + 1); ++row) tensor.set_int(row, n);
  }
  for (int64_t row = total_tokens(); row < total_rows(); ++row) tensor.set_int(row, -1);
  return tensor;
}

Tensor Packing::position_ids_tensor(int64_t start) const {
  Tensor tensor(DType::kI64, {1, total_rows()});
  for (int64_t n = 0; n < num_seqs(); ++n) {
    for (int64_t t = 0; t < length(n); ++t) tensor.set_int(begin(n) + t, start + t);
  }
  return tensor;
}

int64_t Packing::sequence_of_row(int64_t row) const {
  if (row < 0 || row >= total_tokens()) return -1;
  // The last start at or before the row belongs to the one sequence there that is not empty.
  const auto next = std::upper_bound(cu_seqlens_.begin(), cu_seqlens_.end(), row);
  return (next - cu_seqlens_.begin()) - 1;
}

LayoutClass Packing::layout_class(int64_t chunk_size, int64_t conv_width) const {
  const auto all = [this](auto predicate) {
    return std::all_of(lengths_.begin(), lengths_.end(), predicate);
  };
  if (slack_ > 0) return LayoutClass::kSlack;
  if (lengths_.empty()) return LayoutClass::kRagged;
  if (lengths_.front() == 0) return LayoutClass::kEmptyFront;
  if (lengths_.back() == 0) return LayoutClass::kEmptyEnd;
  if (std::find(lengths_.begin(), lengths_.end(), 0) != lengths_.end()) {
    return LayoutClass::kEmptyMiddle;
  }
  if (lengths_.size() == 1) return LayoutClass::kSingle;
  if (all([](int64_t length) { return length == 1; })) return LayoutClass::kSingles;
  if (all([&](int64_t length) { return length == lengths_[0]; })) return LayoutClass::kEqual;
  if (all([&](int64_t length) { return length < conv_width; })) {
    return LayoutClass::kShorterThanConv;
  }
  if (all([&](int64_t length) { return length % chunk_size == 0; })) {
    return LayoutClass::kChunkMultiples;
  }
  if (is_imbalanced(lengths_)) return LayoutClass::kImbalanced;
  if (std::any_of(lengths_.begin(), lengths_.end(),
                  [&](int64_t length) { return is_chunk_edge(length, chunk_size); })) {
    return LayoutClass::kChunkEdges;
  }
  return LayoutClass::kRagged;
}

int64_t PaddedLayout::index_of(const Packing& packing, int64_t n, int64_t t) const {
  const int64_t first = side == PadSide::kLeft ? length - packing.length(n) : 0;
  return n * length + first + t;
}

PaddedLayout padded_layout(const Packing& packing, PadSide side, int64_t extra) {
  return {packing.num_seqs(), packing.max_seqlen() + extra, side};
}

Tensor attention_mask(const Packing& packing, const PaddedLayout& layout) {
  Tensor mask(DType::kI64, {layout.rows, layout.length});
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    for (int64_t t = 0; t < packing.length(n); ++t) mask.set_int(layout.index_of(packing, n, t), 1);
  }
  return mask;
}

std::vector<int64_t> mask_rule_sequence_index(std::span<const int64_t> position_ids) {
  std::vector<int64_t> index(position_ids.size(), 0);
  for (std::size_t t = 1; t < position_ids.size(); ++t) {
    const bool starts = position_ids[t] - position_ids[t - 1] != 1;
    index[t] = index[t - 1] + (starts ? 1 : 0);
  }
  if (index.empty() || index.back() == 0) return {};
  return index;
}

std::vector<int64_t> flash_rule_cu_seqlens(std::span<const int64_t> position_ids) {
  std::vector<int64_t> cu_seqlens;
  const auto minimum = std::min_element(position_ids.begin(), position_ids.end());
  for (std::size_t t = 0; t < position_ids.size(); ++t) {
    if (position_ids[t] == *minimum) cu_seqlens.push_back(static_cast<int64_t>(t));
  }
  cu_seqlens.push_back(static_cast<int64_t>(position_ids.size()));
  return cu_seqlens;
}

}  // namespace packproof
