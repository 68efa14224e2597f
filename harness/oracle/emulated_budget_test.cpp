#include "harness/oracle/emulated_budget.h"

#include <cmath>

#include <gtest/gtest.h>

namespace packproof {
namespace {

RowMap token_rows(const std::vector<int64_t>& lens) {
  RowMap rows;
  for (std::size_t n = 0; n < lens.size(); ++n) {
    for (int64_t t = 0; t < lens[n]; ++t) {
      rows.push_back({RowKind::kToken, static_cast<int64_t>(n), t, Region::kInterior});
    }
  }
  return rows;
}

// Two sequences of one token, two heads of two elements; only one head of the first errs.
TEST(EmulatedBudget, AHeadOfASequenceIsAllowedItsOwnErrors) {
  const Tensor expected(DType::kF64, {1, 2, 2, 2});
  Tensor emulated(DType::kF64, {1, 2, 2, 2});
  emulated.set(2, 0.3);
  emulated.set(3, 0.4);
  const Tensor allowed =
      emulated_allowance(expected, emulated, DType::kBF16, DType::kF32, token_rows({1, 1}), 2);
  // RMS of the block: sqrt(0.25 / 2); of the tensor: sqrt(0.25 / 8), a factor of 8 below.
  EXPECT_NEAR(allowed.at(2), 8.0 * std::sqrt(0.125 + 0.25 / 8 / 64), 1e-12);
  EXPECT_NEAR(allowed.at(3), allowed.at(2), 1e-15);
  EXPECT_NEAR(allowed.at(0), std::sqrt(0.25 / 8), 1e-12);
  EXPECT_NEAR(allowed.at(6), std::sqrt(0.25 / 8), 1e-12);
}

TEST(EmulatedBudget, WhatTheEmulationHitsByLuckMayStillBeRoundedOnce) {
  Tensor expected(DType::kF64, {1, 1, 1, 1});
  expected.set(0, 4.0);
  const Tensor allowed =
      emulated_allowance(expected, expected, DType::kBF16, DType::kF32, token_rows({1}), 1);
  EXPECT_NEAR(allowed.at(0), (8.0 + kFactorRoundings) * 4.0 / 256, 1e-5);
}

// Gradients of pads are judged, so they have the errors of pads.
TEST(EmulatedBudget, PadsAreAllowedTheirErrors) {
  const Tensor expected(DType::kF64, {1, 2, 1, 1});
  Tensor emulated(DType::kF64, {1, 2, 1, 1});
  emulated.set(1, 0.5);
  RowMap rows = token_rows({1});
  rows.push_back({RowKind::kPad, -1, -1, Region::kInterior});
  const Tensor allowed = emulated_allowance(expected, emulated, DType::kF16, DType::kF32, rows, 1);
  EXPECT_NEAR(allowed.at(1), 8.0 * std::sqrt(0.25 + 0.25 / 2 / 64), 1e-12);
}

TEST(EmulatedBudget, RowsOfNothingAreAllowedNothing) {
  const Tensor expected(DType::kF64, {1, 2, 1, 1});
  Tensor emulated(DType::kF64, {1, 2, 1, 1});
  emulated.set(1, 9.0);
  RowMap rows = token_rows({1});
  rows.push_back({RowKind::kZero, -1, -1, Region::kZeroRow});
  const Tensor allowed = emulated_allowance(expected, emulated, DType::kF16, DType::kF32, rows, 1);
  EXPECT_LT(allowed.at(1), 1e-30);
  EXPECT_LT(allowed.at(0), 1e-30);
}

}  // namespace
}  // namespace packproof
