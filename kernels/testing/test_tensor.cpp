#include "kernels/testing/test_tensor.h"

#include "kernels/common/convert.cuh"

#include <cmath>
#include <cstring>
#include <numeric>

namespace packproof {
namespace {

constexpr int64_t kMargin = 16;  // elements before and behind
constexpr unsigned char kPattern = 0xa5;

int64_t element_bytes(int32_t dtype) {
  return dtype == PACKPROOF_F16 || dtype == PACKPROOF_BF16 ? 2 : 4;
}

/// Calls visit(index) for every element in row-major order.
template <typename Visit>
void for_each_index(const std::vector<int64_t>& shape, Visit visit) {
  const int64_t count =
      std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  std::vector<int64_t> index(shape.size(), 0);
  for (int64_t i = 0; i < count; ++i) {
    visit(index.data());
    for (size_t axis = shape.size(); axis-- > 0;) {
      if (++index[axis] < shape[axis]) break;
      index[axis] = 0;
    }
  }
}

double uniform(uint64_t& state) {  // SplitMix64
  state += 0x9e3779b97f4a7c15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

double read_element(int32_t dtype, const void* element) {
  switch (dtype) {
    case PACKPROOF_F16:
      return to_float(*static_cast<const Half*>(element));
    case PACKPROOF_BF16:
      return to_float(*static_cast<const BFloat16*>(element));
    case PACKPROOF_I32:
      return *static_cast<const int32_t*>(element);
    default:
      return *static_cast<const float*>(element);
  }
}

void write_element(int32_t dtype, void* element, double value) {
  const auto single = static_cast<float>(value);
  switch (dtype) {
    case PACKPROOF_F16:
      *static_cast<Half*>(element) = from_float<Half>(single);
      break;
    case PACKPROOF_BF16:
      *static_cast<BFloat16*>(element) = from_float<BFloat16>(single);
      break;
    case PACKPROOF_I32:
      *static_cast<int32_t*>(element) = static_cast<int32_t>(value);
      break;
    default:
      *static_cast<float*>(element) = single;
  }
}

}  // namespace

TestTensor::TestTensor(int32_t dtype, std::vector<int64_t> shape, int64_t gap)
    : shape_(std::move(shape)), stride_(shape_.size()), dtype_(dtype) {
  int64_t stride = 1;
  for (size_t axis = shape_.size(); axis-- > 0;) {
    stride_[axis] = stride;
    stride *= shape_[axis] + (axis + 1 == shape_.size() ? gap : 0);
  }
  const int64_t bytes = (stride + 2 * kMargin) * element_bytes(dtype);
  memory_ = std::make_shared<TestVector<uint64_t>>(static_cast<size_t>((bytes + 7) / 8));
  std::memset(memory_->data(), kPattern, memory_->size() * 8);
  fill(0.0);
}

TestTensor TestTensor::random(int32_t dtype, std::vector<int64_t> shape, uint64_t seed, double low,
                              double high) {
  TestTensor tensor(dtype, std::move(shape));
  uint64_t state = seed;
  for_each_index(tensor.shape_, [&](const int64_t* index) {
    write_element(dtype, tensor.address(tensor.offset_of(index)),
                  low + (high - low) * uniform(state));
  });
  return tensor;
}

TestTensor TestTensor::i32(const std::vector<int32_t>& values) {
  TestTensor tensor(PACKPROOF_I32, {static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) tensor.set({static_cast<int64_t>(i)}, values[i]);
  return tensor;
}

int64_t TestTensor::offset_of(const int64_t* index) const {
  int64_t offset = 0;
  for (size_t axis = 0; axis < shape_.size(); ++axis) offset += index[axis] * stride_[axis];
  return offset;
}

void* TestTensor::address(int64_t offset) const {
  return reinterpret_cast<unsigned char*>(memory_->data()) +
         (kMargin + offset) * element_bytes(dtype_);
}

double TestTensor::at(std::initializer_list<int64_t> index) const {
  return read_element(dtype_, address(offset_of(index.begin())));
}

void TestTensor::set(std::initializer_list<int64_t> index, double value) {
  write_element(dtype_, address(offset_of(index.begin())), value);
}

void TestTensor::fill(double value) {
  for_each_index(shape_, [&](const int64_t* index) {
    write_element(dtype_, address(offset_of(index)), value);
  });
}

TestTensor TestTensor::slice(size_t axis, int64_t first, int64_t count) const {
  std::vector<int64_t> shape = shape_;
  shape[axis] = count;
  TestTensor result(dtype_, shape);
  for_each_index(shape, [&](const int64_t* index) {
    std::vector<int64_t> source(index, index + shape.size());
    source[axis] += first;
    std::memcpy(result.address(result.offset_of(index)), address(offset_of(source.data())),
                static_cast<size_t>(element_bytes(dtype_)));
  });
  return result;
}

TestTensor TestTensor::with_gap(int64_t gap) const {
  TestTensor result(dtype_, shape_, gap);
  for_each_index(shape_, [&](const int64_t* index) {
    std::memcpy(result.address(result.offset_of(index)), address(offset_of(index)),
                static_cast<size_t>(element_bytes(dtype_)));
  });
  return result;
}

std::vector<uint64_t> TestTensor::bits() const {
  std::vector<uint64_t> result;
  for_each_index(shape_, [&](const int64_t* index) {
    uint64_t element = 0;
    std::memcpy(&element, address(offset_of(index)), static_cast<size_t>(element_bytes(dtype_)));
    result.push_back(element);
  });
  return result;
}

bool TestTensor::gaps_intact() const {
  std::vector<unsigned char> bytes(memory_->size() * 8);
  std::memcpy(bytes.data(), memory_->data(), bytes.size());
  for_each_index(shape_, [&](const int64_t* index) {
    std::memset(bytes.data() + (kMargin + offset_of(index)) * element_bytes(dtype_), kPattern,
                static_cast<size_t>(element_bytes(dtype_)));
  });
  for (const unsigned char byte : bytes) {
    if (byte != kPattern) return false;
  }
  return true;
}

packproof_tensor TestTensor::view() const {
  packproof_tensor tensor{};
  if (!present()) return tensor;
  tensor.data = address(0);
  tensor.rank = static_cast<int32_t>(shape_.size());
  tensor.dtype = dtype_;
  for (size_t axis = 0; axis < shape_.size(); ++axis) {
    tensor.shape[axis] = shape_[axis];
    tensor.stride[axis] = stride_[axis];
  }
  return tensor;
}

double unit_roundoff(int32_t dtype) {
  return dtype == PACKPROOF_F16 ? 0x1p-11 : dtype == PACKPROOF_BF16 ? 0x1p-8 : 0x1p-24;
}

double rounding_at_zero(int32_t dtype) {
  return dtype == PACKPROOF_F16 ? 0x1p-25 : dtype == PACKPROOF_BF16 ? 0x1p-134 : 0x1p-150;
}

}  // namespace packproof
