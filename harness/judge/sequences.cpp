#include "harness/judge/sequences.h"

#include "harness/core/packing.h"

#include <algorithm>

namespace packproof {
namespace {

// Masks add 0 where a key is seen and the most negative number of some dtype where it is not: f16's
// is -65504.
constexpr double kHidden = -1e4;

constexpr std::size_t kLensShown = 24;

std::vector<int64_t> integers_of(const Tensor& tensor) {
  std::vector<int64_t> values;
  values.reserve(static_cast<std::size_t>(tensor.numel()));
  for (int64_t i = 0; i < tensor.numel(); ++i) values.push_back(tensor.int_at(i));
  return values;
}

Status expect_integers(const Tensor& tensor, int64_t rank, const char* shape) {
  if (tensor.rank() == rank && !is_floating(tensor.dtype())) return {};
  return invalid_input("expected integers of shape " + std::string(shape) + ", found " +
                       std::string(name_of(tensor.dtype())) + " of shape " +
                       shape_text(tensor.shape()));
}

/// The received sequence that holds a row, or -1.
int64_t span_of_row(const std::vector<Span>& spans, int64_t row) {
  for (std::size_t n = 0; n < spans.size(); ++n) {
    if (row >= spans[n].begin && row < spans[n].begin + spans[n].length) {
      return static_cast<int64_t>(n);
    }
  }
  return -1;
}

bool seen(const Tensor& mask, int64_t index) {
  return is_floating(mask.dtype()) ? mask.at(index) > kHidden : mask.int_at(index) != 0;
}

}  // namespace

int64_t Sequences::tokens() const {
  int64_t count = 0;
  for (const Span& span : spans) count += span.length;
  return count;
}

int64_t Sequences::non_empty() const {
  return std::ranges::count_if(spans, [](const Span& span) { return span.length > 0; });
}

Sequences sequences_of_rows(int64_t batch, int64_t length) {
  Sequences result{"rows", batch * length, {}};
  for (int64_t b = 0; b < batch; ++b) result.spans.push_back({b * length, length});
  return result;
}

Result<Sequences> sequences_of_offsets(const Tensor& offsets, int64_t rows) {
  PACKPROOF_CHECK_OK(expect_integers(offsets, 1, "[N + 1]"));
  PACKPROOF_TRY(const Packing packing, Packing::from_cu_seqlens(integers_of(offsets), rows));
  Sequences result{"cu_seqlens", rows, {}};
  for (int64_t n = 0; n < packing.num_seqs(); ++n) {
    result.spans.push_back({packing.begin(n), packing.length(n)});
  }
  return result;
}

Result<Sequences> sequences_of_ids(const Tensor& ids, int64_t first_id) {
  PACKPROOF_CHECK_OK(expect_integers(ids, 2, "[B, T]"));
  Sequences result{"seq_idx", ids.numel(), {}};
  const int64_t length = ids.dim(1);
  for (int64_t row = 0; row < ids.numel(); ++row) {
    const int64_t id = ids.int_at(row);
    if (id < first_id) continue;
    if (row % length == 0 || ids.int_at(row - 1) != id) result.spans.push_back({row, 0});
    ++result.spans.back().length;
  }
  return result;
}

Result<Sequences> sequences_of_positions(const Tensor& positions) {
  if (positions.rank() < 2 || positions.rank() > 3 || is_floating(positions.dtype())) {
    return invalid_input("expected integers of shape [B, T], found " +
                         std::string(name_of(positions.dtype())) + " of shape " +
                         shape_text(positions.shape()));
  }
  const int64_t length = positions.dim(positions.rank() - 1);
  const int64_t batch = positions.dim(positions.rank() - 2);
  const std::vector<int64_t> values = integers_of(positions);
  Sequences result{"position_ids", batch * length, {}};
  for (int64_t b = 0; b < batch && length > 0; ++b) {
    const std::span<const int64_t> row(values.data() + b * length,
                                       static_cast<std::size_t>(length));
    const int64_t least = *std::ranges::min_element(row);
    for (int64_t t = 0; t < length; ++t) {
      if (t == 0 || row[static_cast<std::size_t>(t)] == least) {
        result.spans.push_back({b * length + t, 0});
      }
      ++result.spans.back().length;
    }
  }
  return result;
}

Result<Sequences> sequences_of_mask(const Tensor& mask, int64_t batch) {
  if (mask.rank() != 4 || mask.dim(2) != mask.dim(3) ||
      (mask.dim(0) != batch && mask.dim(0) != 1)) {
    return invalid_input("expected a mask of shape [B, 1, T, T], found " +
                         shape_text(mask.shape()));
  }
  const int64_t length = mask.dim(2);
  Sequences result{"attention_mask", batch * length, {}};
  const Error windows =
      invalid_input("expected a mask of causal blocks, found one of another shape");
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t plane = (mask.dim(0) == 1 ? 0 : b) * mask.dim(1) * length * length;
    int64_t begin = -1;  // Of the block that a row continues.
    for (int64_t t = 0; t < length; ++t) {
      const auto sees = [&](int64_t key) { return seen(mask, plane + t * length + key); };
      if (!sees(t)) {
        begin = -1;
        continue;
      }
      int64_t first = t;
      while (first > 0 && sees(first - 1)) --first;
      for (int64_t key = 0; key < length; ++key) {
        if (sees(key) != (key >= first && key <= t)) return windows;
      }
      if (first == t) {
        begin = t;
        result.spans.push_back({b * length + t, 0});
      }
      if (first != begin) return windows;
      ++result.spans.back().length;
    }
  }
  return result;
}

Sequences without_padding(const Sequences& sequences, const Tensor& mask) {
  Sequences result{sequences.source, sequences.rows, {}};
  for (const Span& span : sequences.spans) {
    Span kept{span.begin, 0};
    for (int64_t row = span.begin; row < span.begin + span.length; ++row) {
      const bool token = mask.int_at(row) != 0;
      if (token && kept.length == 0) kept.begin = row;
      if (token) kept.length = row + 1 - kept.begin;
    }
    if (kept.length > 0 || span.length == 0) result.spans.push_back(kept);
  }
  return result;
}

Sequences compressed(const Sequences& sequences) {
  Sequences result{sequences.source, sequences.tokens(), {}};
  int64_t begin = 0;
  for (const Span& span : sequences.spans) {
    result.spans.push_back({begin, span.length});
    begin += span.length;
  }
  return result;
}

std::optional<Disagreement> first_disagreement(const Sequences& truth, const Sequences& received) {
  std::vector<int64_t> owner(received.spans.size(), -1);
  for (std::size_t n = 0; n < truth.spans.size(); ++n) {
    const auto sequence = static_cast<int64_t>(n);
    const Span& span = truth.spans[n];
    if (span.length == 0) continue;
    const int64_t home = span_of_row(received.spans, span.begin);
    if (home < 0) return Disagreement{true, sequence, -1};
    const Span& place = received.spans[static_cast<std::size_t>(home)];
    int64_t& taken = owner[static_cast<std::size_t>(home)];
    if (taken >= 0) return Disagreement{false, sequence, taken};
    if (span.begin + span.length > place.begin + place.length) {
      return Disagreement{true, sequence, -1};
    }
    taken = sequence;
  }
  return std::nullopt;
}

std::vector<Span> aligned(const Sequences& truth, const Sequences& received) {
  std::vector<Span> result;
  for (const Span& place : received.spans) result.push_back({place.begin, 0});
  for (const Span& span : truth.spans) {
    if (span.length == 0) continue;
    const int64_t home = span_of_row(received.spans, span.begin);
    if (home >= 0) result[static_cast<std::size_t>(home)] = span;
  }
  return result;
}

std::string lens_text(const Sequences& sequences) {
  std::string text;
  for (std::size_t n = 0; n < sequences.spans.size(); ++n) {
    if (n == kLensShown) {
      return text + ",.. (" + std::to_string(sequences.spans.size()) + " sequences)";
    }
    text += (n == 0 ? "" : ",") + std::to_string(sequences.spans[n].length);
  }
  return text.empty() ? "none" : text;
}

}  // namespace packproof
