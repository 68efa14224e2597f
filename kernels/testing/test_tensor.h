#pragma once

#include "kernels/testing/test_memory.h"
#include "packproof/kernel_abi.h"

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

namespace packproof {

/// A tensor in host memory for tests of kernels, read and written as double. The default one is
/// absent. Memory that no element owns is filled with a pattern, so that stray writes are seen.
class TestTensor {
 public:
  TestTensor() = default;

  /// Zeros. `gap` elements lie behind each row of the last axis.
  TestTensor(int32_t dtype, std::vector<int64_t> shape, int64_t gap = 0);

  /// Uniform values of [low, high), rounded to the dtype; the same for equal seeds.
  static TestTensor random(int32_t dtype, std::vector<int64_t> shape, uint64_t seed,
                           double low = -1.0, double high = 1.0);
  static TestTensor i32(const std::vector<int32_t>& values);

  bool present() const { return memory_ != nullptr; }

  int32_t dtype() const { return dtype_; }

  const std::vector<int64_t>& shape() const { return shape_; }

  double at(std::initializer_list<int64_t> index) const;
  void set(std::initializer_list<int64_t> index, double value);
  void fill(double value);

  /// Rows first .. first + count - 1 of an axis, contiguous.
  TestTensor slice(size_t axis, int64_t first, int64_t count) const;

  /// The same elements with `gap` elements behind each row.
  TestTensor with_gap(int64_t gap) const;

  /// All elements' bits, row-major.
  std::vector<uint64_t> bits() const;

  /// True while everything between and around the elements still holds the pattern.
  bool gaps_intact() const;

  packproof_tensor view() const;

 private:
  int64_t offset_of(const int64_t* index) const;
  void* address(int64_t offset) const;

  std::shared_ptr<TestVector<uint64_t>> memory_;  // 8-byte units: aligned for every dtype
  std::vector<int64_t> shape_;
  std::vector<int64_t> stride_;
  int32_t dtype_ = PACKPROOF_F32;
};

/// 2^-24, 2^-11 or 2^-8: the largest relative error of rounding to the dtype.
double unit_roundoff(int32_t dtype);

/// Half the smallest subnormal: the largest error of rounding a number near zero.
double rounding_at_zero(int32_t dtype);

}  // namespace packproof
