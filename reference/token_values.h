#pragma once

#include "harness/core/tensor.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace packproof::reference {

/// Contiguous finite values of a floating dtype where somebody keeps them; each is exact in f64.
/// Nobody but the reader of a row needs it as f64, so no tensor is converted whole.
class StoredValues {
 public:
  StoredValues() = default;

  explicit StoredValues(const double* values)
      : StoredValues(DType::kF64, reinterpret_cast<const std::byte*>(values)) {}

  StoredValues(DType dtype, const std::byte* values) : dtype_(dtype), values_(values) {}

  /// Copies the `count` values from `begin` on.
  void read(int64_t begin, int64_t count, double* target) const;

  std::vector<double> row(int64_t begin, int64_t count) const {
    std::vector<double> result(static_cast<std::size_t>(count));
    read(begin, count, result.data());
    return result;
  }

  /// Asks for what a later `read` takes.
  void prefetch(int64_t begin, int64_t count) const;

  /// Whether none of the values is NaN or an infinity.
  bool finite(int64_t begin, int64_t count) const;

 private:
  DType dtype_ = DType::kF64;
  const std::byte* values_ = nullptr;
};

/// A large tensor of a call: viewed where it lies contiguously, else a converted one of its own.
class TokenValues {
 public:
  TokenValues() = default;
  TokenValues(TokenValues&&) = default;
  TokenValues& operator=(TokenValues&&) = default;

  /// `tensor` must be contiguous, of a floating dtype, and outlive the view.
  static TokenValues view_of(const Tensor& tensor) {
    TokenValues result;
    result.shape_ = tensor.shape();
    result.stored_ = StoredValues(tensor.dtype(), tensor.bytes().data());
    return result;
  }

  static TokenValues owning(Tensor converted) {
    TokenValues result = view_of(converted);
    result.converted_ = std::move(converted);  // Storage moves along with its address.
    return result;
  }

  const std::vector<int64_t>& shape() const { return shape_; }

  const StoredValues& stored() const { return stored_; }

 private:
  std::vector<int64_t> shape_;
  StoredValues stored_;
  Tensor converted_;
};

}  // namespace packproof::reference
