#pragma once

#include "harness/core/result.h"
#include "reference/model_config.h"
#include "reference/reference.h"

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

namespace packproof::reference {

/// Rows [begin, end) of batch row `row` that form one sequence.
struct SequenceSpan {
  int64_t row = 0;
  int64_t begin = 0;
  int64_t end = 0;

  int64_t length() const { return end - begin; }
};

/// Where the tokens of one checked batch belong.
struct TokenLayout {
  int64_t batch = 0;                ///< B.
  int64_t length = 0;               ///< L, new columns only.
  int64_t past = 0;                 ///< Cached columns before the first new one.
  std::vector<int64_t> cu_seqlens;  ///< Packed form (then B = 1), else empty.
  at::Tensor input_ids;             ///< i64 [B, L].
  at::Tensor positions;             ///< i64 [B, L] or [3, B, L].
  at::Tensor key_mask;              ///< bool [B, past + L]; undefined when every key is allowed.
  at::Tensor
      mixer_mask;  ///< f64 [B, L, 1]; undefined when delta-net layers get no mask (spec 4.1).
  at::Tensor
      token_mask;  ///< bool [B, L], false at pads and slack rows; undefined when all are tokens.

  bool packed() const { return !cu_seqlens.empty(); }

  int64_t total_tokens() const { return packed() ? cu_seqlens.back() : batch * length; }

  /// One span per sequence: the packed sequences, or every batch row. Slack rows are in none.
  std::vector<SequenceSpan> sequences() const;
};

/// Checks ids, shapes, mask values and boundaries before any work; the error names field and place.
Result<TokenLayout> token_layout(const ModelBatch& batch, const ModelConfig& config, int64_t past);

}  // namespace packproof::reference
