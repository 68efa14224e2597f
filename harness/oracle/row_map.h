#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace packproof {

/// What a row of an output is for.
enum class RowKind : uint8_t {
  kToken,      ///< Belongs to a token of a sequence.
  kSlack,      ///< After cu_seqlens[-1]: must stay untouched.
  kZero,       ///< Must be written as zeros (seq_idx < 0, skipped slots).
  kState,      ///< A sequence's final state.
  kUntouched,  ///< A pool slot that no index names: must keep its input bytes.
  kShared,     ///< Belongs to no sequence (weight gradients).
  kPad,        ///< Padding of a dense batch: computed like a token, part of no sequence.
};

/// Parts of a sequence that break separately; every verdict names one.
enum class Region : uint8_t {
  kHead,       ///< The first W-1 tokens, where a convolution could see the neighbour.
  kChunkEdge,  ///< Within one token of a multiple of the chunk size.
  kTail,       ///< The last token.
  kInterior,
  kFinalState,
  kZeroRow,
  kShared,
};

std::string_view name_of(Region region);

struct Row {
  RowKind kind = RowKind::kShared;
  int64_t sequence = -1;  ///< -1 for rows of no sequence.
  int64_t token = -1;     ///< Token within the sequence; -1 for states.
  Region region = Region::kShared;
};

/// Maps the leading rows of one output tensor to sequences and tokens. Row r covers the row-major
/// elements [r * numel / rows, (r + 1) * numel / rows).
using RowMap = std::vector<Row>;

/// The region of token `t` in a sequence of `length` tokens.
Region region_of_token(int64_t token, int64_t length, int64_t conv_width, int64_t chunk_size);

/// "sequence 3, token 17" or "sequence 3, final state", for messages.
std::string place_text(const Row& row);

}  // namespace packproof
