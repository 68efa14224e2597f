#include "harness/core/tensor.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace packproof {
namespace {

void require(bool condition, const char* sentence) {
  if (condition) return;
  std::fprintf(stderr, "packproof: %s\n", sentence);
  std::abort();
}

bool strides_are_contiguous(const std::vector<int64_t>& shape,
                            const std::vector<int64_t>& strides) {
  int64_t expected = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    if (shape[axis] == 0) return true;
    if (shape[axis] != 1 && strides[axis] != expected) return false;
    expected *= shape[axis];
  }
  return true;
}

std::size_t reachable_elements(const std::vector<int64_t>& shape,
                               const std::vector<int64_t>& strides) {
  int64_t last = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    require(strides[axis] >= 0, "Tensor: expected strides >= 0");
    if (shape[axis] == 0) return 0;
    int64_t reach = 0;
    require(!__builtin_mul_overflow(shape[axis] - 1, strides[axis], &reach) &&
                !__builtin_add_overflow(last, reach, &last),
            "Tensor: strides reach past 64 bits");
  }
  return static_cast<std::size_t>(last) + 1;
}

}  // namespace

std::vector<int64_t> contiguous_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= std::max<int64_t>(shape[axis], 1);
  }
  return strides;
}

int64_t checked_numel(const std::vector<int64_t>& shape) {
  int64_t product = 1;
  bool has_zero = false;
  for (const int64_t extent : shape) {
    if (extent < 0) return -1;
    has_zero = has_zero || extent == 0;
    if (__builtin_mul_overflow(product, std::max<int64_t>(extent, 1), &product)) return -1;
  }
  return has_zero ? 0 : product;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string(shape[axis]);
  }
  return text + "]";
}

Tensor::Tensor(DType dtype, std::vector<int64_t> shape)
    : dtype_(dtype), shape_(std::move(shape)), strides_(contiguous_strides(shape_)) {
  const int64_t count = checked_numel(shape_);
  require(count >= 0, "Tensor: expected a shape of non-negative sizes within 64 bits");
  bytes_.resize(static_cast<std::size_t>(count) * size_of(dtype));
}

Tensor::Tensor(DType dtype, std::vector<int64_t> shape, std::vector<int64_t> strides)
    : dtype_(dtype), shape_(std::move(shape)), strides_(std::move(strides)) {
  require(shape_.size() == strides_.size(), "Tensor: expected one stride for every axis");
  require(checked_numel(shape_) >= 0,
          "Tensor: expected a shape of non-negative sizes within 64 bits");
  contiguous_ = strides_are_contiguous(shape_, strides_);
  bytes_.resize(reachable_elements(shape_, strides_) * size_of(dtype));
}

Tensor Tensor::from_doubles(DType dtype, std::vector<int64_t> shape,
                            std::span<const double> values) {
  Tensor tensor(dtype, std::move(shape));
  require(tensor.numel() == static_cast<int64_t>(values.size()),
          "Tensor::from_doubles: expected as many values as the shape has elements");
  for (int64_t i = 0; i < tensor.numel(); ++i) tensor.set(i, values[static_cast<std::size_t>(i)]);
  return tensor;
}

Tensor Tensor::from_ints(DType dtype, std::vector<int64_t> shape, std::span<const int64_t> values) {
  Tensor tensor(dtype, std::move(shape));
  require(tensor.numel() == static_cast<int64_t>(values.size()),
          "Tensor::from_ints: expected as many values as the shape has elements");
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    tensor.set_int(i, values[static_cast<std::size_t>(i)]);
  }
  return tensor;
}

int64_t Tensor::numel() const { return bytes_.empty() ? 0 : checked_numel(shape_); }

int64_t Tensor::storage_elements() const {
  return static_cast<int64_t>(bytes_.size() / size_of(dtype_));
}

int64_t Tensor::offset_of(int64_t linear) const {
  if (contiguous_) return linear;
  int64_t offset = 0;
  for (std::size_t axis = shape_.size(); axis-- > 0;) {
    offset += (linear % shape_[axis]) * strides_[axis];
    linear /= shape_[axis];
  }
  return offset;
}

double Tensor::at(int64_t linear) const {
  const auto offset = static_cast<std::size_t>(offset_of(linear));
  return load_element(dtype_, bytes_.data() + offset * size_of(dtype_));
}

int64_t Tensor::int_at(int64_t linear) const {
  const auto offset = static_cast<std::size_t>(offset_of(linear));
  if (dtype_ == DType::kI64) return values<int64_t>()[offset];
  if (dtype_ == DType::kI32) return values<int32_t>()[offset];
  return static_cast<int64_t>(at(linear));
}

void Tensor::set(int64_t linear, double value) {
  const auto offset = static_cast<std::size_t>(offset_of(linear));
  store_element(dtype_, bytes_.data() + offset * size_of(dtype_), value);
}

void Tensor::set_int(int64_t linear, int64_t value) {
  const auto offset = static_cast<std::size_t>(offset_of(linear));
  if (dtype_ == DType::kI64) {
    values<int64_t>()[offset] = value;
  } else if (dtype_ == DType::kI32) {
    require(value >= std::numeric_limits<int32_t>::min() &&
                value <= std::numeric_limits<int32_t>::max(),
            "Tensor::set_int: expected a value that fits i32");
    values<int32_t>()[offset] = static_cast<int32_t>(value);
  } else {
    set(linear, static_cast<double>(value));
  }
}

uint64_t Tensor::bits_at(int64_t linear) const {
  const std::size_t size = size_of(dtype_);
  uint64_t bits = 0;  // Little-endian hosts only, like the process protocol.
  std::memcpy(&bits, bytes_.data() + static_cast<std::size_t>(offset_of(linear)) * size, size);
  return bits;
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_ && contiguous_) return *this;
  Tensor result(dtype, shape_);
  if (bytes_.empty()) return result;
  // What the reference reads by the gigabyte.
  if (dtype_ == DType::kF32 && dtype == DType::kF64 && contiguous_) {
    std::ranges::copy(values<float>(), result.values<double>().begin());
    return result;
  }
  const int64_t count = numel();
  const bool integers = !is_floating(dtype_) && !is_floating(dtype);
  for (int64_t i = 0; i < count; ++i) {
    if (integers) {
      result.set_int(i, int_at(i));
    } else {
      result.set(i, at(i));
    }
  }
  return result;
}

Tensor Tensor::with_strides(std::vector<int64_t> strides, std::byte gap) const {
  Tensor result(dtype_, shape_, std::move(strides));
  std::fill(result.bytes_.begin(), result.bytes_.end(), gap);
  const std::size_t size = size_of(dtype_);
  const int64_t count = numel();
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(result.bytes_.data() + static_cast<std::size_t>(result.offset_of(i)) * size,
                bytes_.data() + static_cast<std::size_t>(offset_of(i)) * size, size);
  }
  return result;
}

Tensor Tensor::slice(int64_t axis, int64_t begin, int64_t end) const {
  require(axis >= 0 && axis < rank() && begin >= 0 && begin <= end && end <= dim(axis),
          "Tensor::slice: expected 0 <= begin <= end <= size of an existing axis");
  std::vector<int64_t> shape = shape_;
  shape[static_cast<std::size_t>(axis)] = end - begin;
  Tensor result(dtype_, std::move(shape));
  int64_t inner = 1;
  for (int64_t a = axis + 1; a < rank(); ++a) inner *= dim(a);
  const std::size_t size = size_of(dtype_);
  const int64_t kept = (end - begin) * inner;
  const int64_t whole = dim(axis) * inner;
  const int64_t count = result.numel();
  for (int64_t i = 0; i < count; ++i) {
    const int64_t from = (i / kept) * whole + begin * inner + i % kept;
    std::memcpy(result.bytes_.data() + static_cast<std::size_t>(i) * size,
                bytes_.data() + static_cast<std::size_t>(offset_of(from)) * size, size);
  }
  return result;
}

Tensor Tensor::reshaped(std::vector<int64_t> shape) const {
  Tensor result(dtype_, std::move(shape));
  require(result.numel() == numel(), "Tensor::reshaped: expected the same number of elements");
  const std::size_t size = size_of(dtype_);
  const int64_t count = numel();
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(result.bytes_.data() + static_cast<std::size_t>(i) * size,
                bytes_.data() + static_cast<std::size_t>(offset_of(i)) * size, size);
  }
  return result;
}

}  // namespace packproof
