#pragma once

#include "harness/core/dtype.h"
#include "harness/core/large_memory.h"

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <span>
#include <string>
#include <vector>

namespace packproof {

/// A strided tensor in host memory that owns its storage. Strides count elements.
///
/// The storage may hold more elements than the shape names (gaps between rows of a fused
/// projection); gap elements are poison that no kernel may read into a result or write.
class Tensor {
 public:
  Tensor() = default;

  /// Contiguous, zero-filled.
  Tensor(DType dtype, std::vector<int64_t> shape);

  /// Strided (strides >= 0); storage covers exactly the elements reachable, zero-filled. A shape
  /// with a negative entry or too many elements is a programming mistake and aborts.
  Tensor(DType dtype, std::vector<int64_t> shape, std::vector<int64_t> strides);

  static Tensor from_doubles(DType dtype, std::vector<int64_t> shape,
                             std::span<const double> values);
  static Tensor from_ints(DType dtype, std::vector<int64_t> shape, std::span<const int64_t> values);

  DType dtype() const { return dtype_; }

  const std::vector<int64_t>& shape() const { return shape_; }

  const std::vector<int64_t>& strides() const { return strides_; }

  int64_t rank() const { return static_cast<int64_t>(shape_.size()); }

  int64_t dim(int64_t axis) const { return shape_[static_cast<std::size_t>(axis)]; }

  int64_t numel() const;             ///< Product of the shape; 0 for a default Tensor.
  int64_t storage_elements() const;  ///< Elements in the storage, gaps included.

  bool is_contiguous() const { return contiguous_; }

  bool empty() const { return numel() == 0; }

  std::span<std::byte> bytes() { return bytes_; }

  std::span<const std::byte> bytes() const { return bytes_; }

  /// Storage element offset of the row-major linear index `linear` of the shape.
  int64_t offset_of(int64_t linear) const;

  /// Element by row-major linear index of the shape.
  double at(int64_t linear) const;
  int64_t int_at(int64_t linear) const;
  void set(int64_t linear, double value);
  void set_int(int64_t linear, int64_t value);

  /// Raw bits of one element, zero-extended: equality of bits is equality of this value.
  uint64_t bits_at(int64_t linear) const;

  /// Contiguous typed view; the dtype must match `T` (double, float, int32_t, int64_t).
  template <typename T>
  std::span<T> values() {
    return {reinterpret_cast<T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }

  template <typename T>
  std::span<const T> values() const {
    return {reinterpret_cast<const T*>(bytes_.data()), bytes_.size() / sizeof(T)};
  }

  /// A contiguous copy converted (rounded) to `dtype`.
  Tensor to(DType dtype) const;

  /// A copy with the same values and other strides; gap bytes are filled with `gap`.
  Tensor with_strides(std::vector<int64_t> strides, std::byte gap) const;

  /// A contiguous copy of the rows [begin, end) of `axis`.
  Tensor slice(int64_t axis, int64_t begin, int64_t end) const;

  /// A contiguous copy with another shape of equal numel.
  Tensor reshaped(std::vector<int64_t> shape) const;

 private:
  DType dtype_ = DType::kF64;
  std::vector<int64_t> shape_;
  std::vector<int64_t> strides_;
  bool contiguous_ = true;
  std::vector<std::byte, LargeMemory<std::byte>> bytes_;
};

using TensorMap = std::map<std::string, Tensor>;

std::vector<int64_t> contiguous_strides(const std::vector<int64_t>& shape);

/// Product of the shape; negative on overflow or a negative entry.
int64_t checked_numel(const std::vector<int64_t>& shape);

/// "[2, 3, 4]" for messages.
std::string shape_text(const std::vector<int64_t>& shape);

}  // namespace packproof
