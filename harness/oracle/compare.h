#pragma once

#include "harness/core/tensor.h"
#include "harness/oracle/row_map.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace packproof {

/// The largest share of its budget that an error used, with where.
struct WorstElement {
  double budget_used = 0.0;  ///< |got - expected| / allowed; infinite for NaN against a number.
  int64_t row = -1;
  int64_t element = -1;  ///< Within the row.
  double got = 0.0;
  double expected = 0.0;
  double allowed = 0.0;
};

struct BudgetReport {
  WorstElement worst;
  std::array<double, 7> by_region{};  ///< Worst share per Region.
  double root_mean_square = 0.0;      ///< Of the errors over judged elements, in output units.
  int64_t judged = 0;                 ///< Elements compared.

  bool within() const { return worst.budget_used <= 1.0; }
};

/// Judges every owned row of `got` against `expected`, element by element: the error must not
/// exceed `allowed` of the same shape (f64). Slack and untouched rows are not judged here.
BudgetReport compare_with_budget(const Tensor& got, const Tensor& expected, const Tensor& allowed,
                                 const RowMap& rows);

/// Absolute allowance per element of a candidate that evaluates in float32 and rounds its result
/// once to `dtype`: bound (1 + u) + u |expected| + underflow unit.
Tensor allowance(const Tensor& expected, const Tensor& float32_bound, DType dtype);

struct BitDifference {
  int64_t row = -1;  ///< Row of the first tensor; -1 when equal.
  int64_t element = -1;
  double first = 0.0;
  double second = 0.0;

  bool equal() const { return row < 0; }
};

/// First element whose bits differ between row `a_row` of `a` and row `b_row` of `b`, over the
/// pairs of rows given. Shapes of one row must agree.
struct RowPair {
  int64_t a = 0;
  int64_t b = 0;
};

BitDifference first_bit_difference(const Tensor& a, const Tensor& b, int64_t a_rows, int64_t b_rows,
                                   const std::vector<RowPair>& pairs);

/// First element of the pairs that is NaN in either tensor.
BitDifference first_not_a_number(const Tensor& a, const Tensor& b, int64_t a_rows, int64_t b_rows,
                                 const std::vector<RowPair>& pairs);

/// Largest |a - b| / allowed over the pairs, allowed taken at the row of `a` (same shape as `a`).
WorstElement largest_difference(const Tensor& a, const Tensor& b, const Tensor& allowed,
                                int64_t a_rows, int64_t b_rows, const std::vector<RowPair>& pairs);

/// First element of the given rows that still holds the poison pattern in both runs of two
/// colours: never written. `first` and `second` are the same output under the two colours.
BitDifference first_unwritten(const Tensor& first, std::byte first_poison, const Tensor& second,
                              std::byte second_poison, const RowMap& rows);

/// First element of a slack row that no longer holds its poison: written although not owned.
BitDifference first_trespass(const Tensor& output, std::byte poison, const RowMap& rows);

/// Relative 2-norm of the difference: |a - b| / |b| (|a| when b is zero).
double relative_norm(const Tensor& a, const Tensor& b);

}  // namespace packproof
