#include "harness/oracle/compare.h"

#include <cmath>
#include <limits>

namespace packproof {
namespace {

double share_of(double got, double expected, double allowed) {
  if (std::isnan(got) || std::isnan(expected)) {
    return std::isnan(got) && std::isnan(expected) ? 0.0 : std::numeric_limits<double>::infinity();
  }
  if (got == expected) return 0.0;
  const double error = std::abs(got - expected);
  return allowed > 0.0 ? error / allowed : std::numeric_limits<double>::infinity();
}

bool judged_by_budget(RowKind kind) {
  return kind != RowKind::kSlack && kind != RowKind::kUntouched;
}

uint64_t poison_bits(std::byte poison, std::size_t size) {
  uint64_t bits = 0;
  for (std::size_t i = 0; i < size; ++i) bits = bits << 8 | static_cast<uint64_t>(poison);
  return bits;
}

}  // namespace

BudgetReport compare_with_budget(const Tensor& got, const Tensor& expected, const Tensor& allowed,
                                 const RowMap& rows) {
  BudgetReport report;
  if (rows.empty()) return report;
  const int64_t per_row = got.numel() / static_cast<int64_t>(rows.size());
  double sum_of_squares = 0.0;
  for (int64_t r = 0; r < static_cast<int64_t>(rows.size()); ++r) {
    const Row& row = rows[static_cast<std::size_t>(r)];
    if (!judged_by_budget(row.kind)) continue;
    double& region_worst = report.by_region[static_cast<std::size_t>(row.region)];
    for (int64_t e = 0; e < per_row; ++e) {
      const int64_t i = r * per_row + e;
      const double g = got.at(i);
      const double x = expected.at(i);
      const double limit = allowed.at(i);
      const double share = share_of(g, x, limit);
      if (share > region_worst) region_worst = share;
      if (report.worst.row < 0 || share > report.worst.budget_used) {
        report.worst = {share, r, e, g, x, limit};
      }
      sum_of_squares += (g - x) * (g - x);
      ++report.judged;
    }
  }
  if (report.judged > 0) {
    report.root_mean_square = std::sqrt(sum_of_squares / static_cast<double>(report.judged));
  }
  return report;
}

Tensor allowance(const Tensor& expected, const Tensor& float32_bound, DType dtype) {
  Tensor allowed(DType::kF64, expected.shape());
  const double u = unit_roundoff(dtype);
  const double smallest = underflow_unit(dtype);
  const auto out = allowed.values<double>();
  for (int64_t i = 0; i < expected.numel(); ++i) {
    out[static_cast<std::size_t>(i)] =
        float32_bound.at(i) * (1.0 + u) + u * std::abs(expected.at(i)) + smallest;
  }
  return allowed;
}

namespace {

/// The first element of the pairs for which `is_wrong(i, j)` holds of its places in a and b.
template <typename IsWrong>
BitDifference first_wrong(const Tensor& a, const Tensor& b, int64_t a_rows, int64_t b_rows,
                          const std::vector<RowPair>& pairs, IsWrong is_wrong) {
  if (a_rows == 0 || b_rows == 0) return {};
  const int64_t per_row = a.numel() / a_rows;
  for (const RowPair& pair : pairs) {
    for (int64_t e = 0; e < per_row; ++e) {
      const int64_t i = pair.a * per_row + e;
      const int64_t j = pair.b * per_row + e;
      if (is_wrong(i, j)) return {pair.a, e, a.at(i), b.at(j)};
    }
  }
  return {};
}

}  // namespace

BitDifference first_bit_difference(const Tensor& a, const Tensor& b, int64_t a_rows, int64_t b_rows,
                                   const std::vector<RowPair>& pairs) {
  return first_wrong(a, b, a_rows, b_rows, pairs,
                     [&](int64_t i, int64_t j) { return a.bits_at(i) != b.bits_at(j); });
}

BitDifference first_not_a_number(const Tensor& a, const Tensor& b, int64_t a_rows, int64_t b_rows,
                                 const std::vector<RowPair>& pairs) {
  return first_wrong(a, b, a_rows, b_rows, pairs, [&](int64_t i, int64_t j) {
    return std::isnan(a.at(i)) || std::isnan(b.at(j));
  });
}

WorstElement largest_difference(const Tensor& a, const Tensor& b, const Tensor& allowed,
                                int64_t a_rows, int64_t b_rows, const std::vector<RowPair>& pairs) {
  WorstElement worst;
  if (a_rows == 0 || b_rows == 0) return worst;
  const int64_t per_row = a.numel() / a_rows;
  for (const RowPair& pair : pairs) {
    for (int64_t e = 0; e < per_row; ++e) {
      const int64_t i = pair.a * per_row + e;
      const double x = a.at(i);
      const double y = b.at(pair.b * per_row + e);
      const double share = share_of(x, y, allowed.at(i));
      if (worst.row < 0 || share > worst.budget_used) {
        worst = {share, pair.a, e, x, y, allowed.at(i)};
      }
    }
  }
  return worst;
}

BitDifference first_unwritten(const Tensor& first, std::byte first_poison, const Tensor& second,
                              std::byte second_poison, const RowMap& rows) {
  if (rows.empty()) return {};
  const int64_t per_row = first.numel() / static_cast<int64_t>(rows.size());
  const uint64_t first_bits = poison_bits(first_poison, size_of(first.dtype()));
  const uint64_t second_bits = poison_bits(second_poison, size_of(second.dtype()));
  for (int64_t r = 0; r < static_cast<int64_t>(rows.size()); ++r) {
    if (!judged_by_budget(rows[static_cast<std::size_t>(r)].kind)) continue;
    for (int64_t e = 0; e < per_row; ++e) {
      const int64_t i = r * per_row + e;
      if (first.bits_at(i) == first_bits && second.bits_at(i) == second_bits) {
        return {r, e, first.at(i), second.at(i)};
      }
    }
  }
  return {};
}

BitDifference first_trespass(const Tensor& output, std::byte poison, const RowMap& rows) {
  if (rows.empty()) return {};
  const int64_t per_row = output.numel() / static_cast<int64_t>(rows.size());
  const uint64_t bits = poison_bits(poison, size_of(output.dtype()));
  for (int64_t r = 0; r < static_cast<int64_t>(rows.size()); ++r) {
    if (rows[static_cast<std::size_t>(r)].kind != RowKind::kSlack) continue;
    for (int64_t e = 0; e < per_row; ++e) {
      if (output.bits_at(r * per_row + e) != bits) return {r, e, output.at(r * per_row + e), 0.0};
    }
  }
  return {};
}

double relative_norm(const Tensor& a, const Tensor& b) {
  double difference = 0.0;
  double norm = 0.0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double d = a.at(i) - b.at(i);
    difference += d * d;
    norm += b.at(i) * b.at(i);
  }
  if (norm == 0.0) return std::sqrt(difference);
  return std::sqrt(difference / norm);
}

}  // namespace packproof
