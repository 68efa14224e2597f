#pragma once

#include "harness/core/result.h"
#include "harness/core/tensor.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace packproof {

/// One example before packing.
struct CollatorFeature {
  std::vector<int64_t> input_ids;
  std::optional<std::vector<int64_t>> labels;
};

/// Options of the library's DataCollatorWithFlattening with its defaults (spec 5.1).
struct CollatorOptions {
  bool return_position_ids = true;
  int64_t separator_id = -100;
  bool return_flash_attn_kwargs = false;
  bool return_seq_idx = false;
  int64_t position_ids_start = 0;
};

/// A packed batch as the library hands it to the model (spec 5.2).
struct CollatedBatch {
  Tensor input_ids;                     ///< i64 [1, T].
  Tensor labels;                        ///< i64 [1, T + number of empty features] (spec 5.3).
  std::optional<Tensor> position_ids;   ///< i64 [1, T].
  std::optional<Tensor> seq_idx;        ///< i32 [1, T].
  std::optional<Tensor> cu_seq_lens_q;  ///< i32 [N + 1].
  std::optional<Tensor> cu_seq_lens_k;  ///< i32 [N + 1], equal to cu_seq_lens_q.
  std::optional<int64_t> max_length_q;
  std::optional<int64_t> max_length_k;

  /// Names of what is present, in the library's order.
  std::vector<std::string_view> keys() const;
};

/// The contract of DataCollatorWithFlattening (spec 5). The first label of every sequence, the
/// first one included, becomes `separator_id`; without labels on feature 0 the ids serve as labels.
/// Errors: no features; labels on feature 0 but not on a later one; more than 2^31 - 1 tokens.
Result<CollatedBatch> collate(std::span<const CollatorFeature> features,
                              const CollatorOptions& options);

}  // namespace packproof
