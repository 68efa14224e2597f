#pragma once

#include "harness/core/result.h"
#include "harness/core/tensor.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace packproof {

/// Coarse classes of a packing's lengths; the generators draw by class and the plan counts cells.
/// A packing has one class, the first that fits of: slack, the empty ones, single, singles, equal,
/// shorter than conv, chunk multiples, imbalanced, chunk edges, ragged.
enum class LayoutClass : uint8_t {
  kSingle,           ///< One sequence.
  kEqual,            ///< Two or more sequences of one length > 1.
  kSingles,          ///< Only one-token sequences, at least two.
  kShorterThanConv,  ///< Every length below the conv width, at least one above 1.
  kChunkMultiples,   ///< Every length a multiple of the chunk size.
  kChunkEdges,       ///< A length within one of a chunk multiple (at least one chunk).
  kImbalanced,       ///< Longest / median >= 16.
  kEmptyFront,       ///< The first sequence is empty.
  kEmptyMiddle,      ///< An inner sequence is empty, front and end are not.
  kEmptyEnd,         ///< The last sequence is empty, the first is not.
  kSlack,            ///< Rows after cu_seqlens[-1].
  kRagged,           ///< None of the above.
};

std::string_view name_of(LayoutClass layout);
std::span<const LayoutClass> all_layout_classes();

/// Limits that keep a mistyped number from eating the machine.
inline constexpr int64_t kMaxSequences = int64_t{1} << 22;
inline constexpr int64_t kMaxRows = int64_t{1} << 40;

/// Lengths of packed sequences and the metadata kernels receive.
///
/// The only place that turns lengths into `cu_seqlens`, `seq_idx` and `position_ids`: two
/// independent derivations of the same boundaries are how packed training went wrong
/// (transformers #45034).
class Packing {
 public:
  /// Accepts empty sequences. `slack` counts rows after the last sequence. Refuses negative lengths
  /// and slack, more than `kMaxSequences` sequences and more than `kMaxRows` rows.
  static Result<Packing> from_lengths(std::vector<int64_t> lengths, int64_t slack = 0);

  /// Refuses, with what was expected and found: fewer than one entry, a first entry that is not 0,
  /// a decreasing pair, a last entry above `total_rows`.
  static Result<Packing> from_cu_seqlens(std::span<const int64_t> cu_seqlens, int64_t total_rows);

  /// Rows < 0 are allowed only at the end (slack); ids must not decrease. Ids that skip a value
  /// mean empty sequences; ids from `kMaxSequences` on are refused.
  static Result<Packing> from_seq_idx(std::span<const int64_t> seq_idx);

  int64_t num_seqs() const { return static_cast<int64_t>(lengths_.size()); }

  int64_t total_tokens() const { return cu_seqlens_.back(); }  ///< cu_seqlens[-1], slack excluded.

  int64_t total_rows() const { return total_tokens() + slack_; }

  int64_t slack() const { return slack_; }

  int64_t max_seqlen() const;

  std::span<const int64_t> lengths() const { return lengths_; }

  std::span<const int64_t> cu_seqlens() const { return cu_seqlens_; }

  int64_t begin(int64_t n) const { return cu_seqlens_[static_cast<std::size_t>(n)]; }

  int64_t length(int64_t n) const { return lengths_[static_cast<std::size_t>(n)]; }

  Tensor cu_seqlens_tensor(DType dtype) const;          ///< [N+1], i32 or i64.
  Tensor seq_idx_tensor() const;                        ///< i32 [1, rows], -1 on slack rows.
  Tensor position_ids_tensor(int64_t start = 0) const;  ///< i64 [1, rows], 0 on slack rows.

  /// Sequence of a row, or -1 for slack.
  int64_t sequence_of_row(int64_t row) const;

  LayoutClass layout_class(int64_t chunk_size, int64_t conv_width) const;

 private:
  std::vector<int64_t> lengths_;
  std::vector<int64_t> cu_seqlens_{0};
  int64_t slack_ = 0;
};

enum class PadSide : uint8_t { kLeft, kRight };

/// Where each packed token sits in a padded [N, L] batch.
struct PaddedLayout {
  int64_t rows = 0;    ///< N.
  int64_t length = 0;  ///< L = longest sequence (+ extra padding).
  PadSide side = PadSide::kRight;

  /// Linear index (row * L + column) of packed token `t` of sequence `n`.
  int64_t index_of(const Packing& packing, int64_t n, int64_t t) const;
};

PaddedLayout padded_layout(const Packing& packing, PadSide side, int64_t extra = 0);

/// i64 [N, L]: 1 at tokens, 0 at pads.
Tensor attention_mask(const Packing& packing, const PaddedLayout& layout);

/// The boundaries that the eager/sdpa mask rule sees (spec 4.2 rule 1: difference != 1): the
/// sequence index per row. Empty when the rule finds no boundary.
std::vector<int64_t> mask_rule_sequence_index(std::span<const int64_t> position_ids);

/// The boundaries that the flash fallback sees (spec 4.2 rule 2: position equals the minimum).
std::vector<int64_t> flash_rule_cu_seqlens(std::span<const int64_t> position_ids);

}  // namespace packproof
