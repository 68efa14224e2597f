#pragma once

#include "harness/core/tensor.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace packproof {

/// Where a row of a new token tensor comes from: a row of the old one, or a fill.
struct RowSource {
  static constexpr int64_t kPad = -1;    ///< Padding of a dense batch.
  static constexpr int64_t kSlack = -2;  ///< After the last sequence: NaN bytes.
};

/// A contiguous tensor whose rows are rows of `source`, read as [rows, elements per row].
/// `leading` replaces the leading axes of `source` that count rows (`leading_rank` of them); every
/// entry of `from` is a row index or one of RowSource. Pad rows hold `pad_value`.
Tensor gather_rows(const Tensor& source, int64_t leading_rank, std::vector<int64_t> leading,
                   const std::vector<int64_t>& from, double pad_value);

/// Copies row `from` of `source` over row `to` of `target`; both contiguous with `rows` rows each.
void copy_row(const Tensor& source, int64_t source_rows, int64_t from, Tensor& target,
              int64_t target_rows, int64_t to);

/// Fills row `row` of a contiguous floating tensor with NaN bytes.
void fill_row_with_nan(Tensor& tensor, int64_t rows, int64_t row);

}  // namespace packproof
