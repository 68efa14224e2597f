#include "harness/oracle/emulated_budget.h"

#include <cmath>
#include <compare>
#include <map>

namespace packproof {
namespace {

constexpr int64_t kBlockTokens = 64;

struct Block {
  int64_t sequence;
  int64_t tokens;  ///< Number of the block in its sequence; -1 for states.
  int64_t head;

  auto operator<=>(const Block&) const = default;
};

struct Squares {
  double errors = 0.0;
  double values = 0.0;
  int64_t count = 0;

  void add(double error, double value) {
    errors += error * error;
    values += value * value;
    ++count;
  }
};

Block block_of(const Row& row, int64_t head) {
  return {row.sequence, row.token < 0 ? -1 : row.token / kBlockTokens, head};
}

bool is_judged(const Row& row) {
  return row.kind == RowKind::kToken || row.kind == RowKind::kPad || row.kind == RowKind::kState ||
         row.kind == RowKind::kShared;
}

}  // namespace

Tensor emulated_allowance(const Tensor& expected, const Tensor& emulated, DType factors,
                          DType dtype, const RowMap& rows, int64_t heads) {
  Tensor allowed(DType::kF64, expected.shape());
  if (rows.empty()) return allowed;
  const int64_t per_row = expected.numel() / static_cast<int64_t>(rows.size());
  const int64_t per_head = per_row / heads;
  std::map<Block, Squares> blocks;
  Squares all;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (!is_judged(rows[r])) continue;
    for (int64_t e = 0; e < per_row; ++e) {
      const int64_t i = static_cast<int64_t>(r) * per_row + e;
      const double error = emulated.at(i) - expected.at(i);
      blocks[block_of(rows[r], e / per_head)].add(error, expected.at(i));
      all.add(error, expected.at(i));
    }
  }
  const double unit = unit_roundoff(factors);
  // A block's few samples may all be small by luck; one error as large as the tensor's own are is
  // no fault.
  const double least = all.count == 0 ? 0.0
                                      : all.errors / static_cast<double>(all.count) /
                                            (kEmulatedErrors * kEmulatedErrors);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    for (int64_t e = 0; e < per_row; ++e) {
      const int64_t i = static_cast<int64_t>(r) * per_row + e;
      double spread = 0.0;
      if (is_judged(rows[r])) {
        const Squares& block = blocks.at(block_of(rows[r], e / per_head));
        const auto count = static_cast<double>(block.count);
        spread = std::sqrt(block.errors / count + unit * unit * block.values / count + least);
      }
      const double own = kFactorRoundings * unit + unit_roundoff(dtype);
      allowed.set(
          i, kEmulatedErrors * spread + own * std::fabs(expected.at(i)) + underflow_unit(dtype));
    }
  }
  return allowed;
}

}  // namespace packproof
