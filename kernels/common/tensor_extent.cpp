#include "kernels/common/tensor_extent.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

namespace packproof {
namespace {

/// Bytes from the first element to the end of the last one.
int64_t span_bytes(const packproof_tensor& tensor) {
  int64_t last = 0;
  for (int32_t axis = 0; axis < tensor.rank; ++axis) {
    last += (tensor.shape[axis] - 1) * tensor.stride[axis];
  }
  return (last + 1) * bytes_of_dtype(tensor.dtype);
}

}  // namespace

const char* name_of_dtype(int32_t dtype) {
  constexpr std::array kNames = {"f32", "f16", "bf16", "f64", "i32", "i64"};
  if (dtype < 0 || dtype >= static_cast<int32_t>(kNames.size())) return "unknown";
  return kNames[static_cast<size_t>(dtype)];
}

int64_t bytes_of_dtype(int32_t dtype) {
  switch (dtype) {
    case PACKPROOF_F16:
    case PACKPROOF_BF16:
      return 2;
    case PACKPROOF_F64:
    case PACKPROOF_I64:
      return 8;
    default:
      return 4;
  }
}

bool is_empty(const packproof_tensor& tensor) {
  return std::any_of(tensor.shape, tensor.shape + tensor.rank,
                     [](int64_t size) { return size == 0; });
}

bool is_addressable(const packproof_tensor& tensor) {
  constexpr int64_t kLimit = int64_t{1} << 58;  // elements of up to 8 bytes, twice
  int64_t last = 0;
  for (int32_t axis = 0; axis < tensor.rank; ++axis) {
    int64_t reach = 0;
    if (__builtin_mul_overflow(tensor.shape[axis], tensor.stride[axis], &reach) || reach > kLimit ||
        tensor.shape[axis] > kLimit || (last += reach) > kLimit) {
      return false;
    }
  }
  return true;
}

bool spans_meet(const packproof_tensor& a, const packproof_tensor& b) {
  if (!is_present(a) || !is_present(b) || is_empty(a) || is_empty(b)) return false;
  const auto a_first = reinterpret_cast<uintptr_t>(a.data);
  const auto b_first = reinterpret_cast<uintptr_t>(b.data);
  return a_first < b_first + static_cast<uintptr_t>(span_bytes(b)) &&
         b_first < a_first + static_cast<uintptr_t>(span_bytes(a));
}

bool elements_distinct(const packproof_tensor& tensor) {
  if (is_empty(tensor)) return true;
  std::vector<std::pair<int64_t, int64_t>> axes;  // stride, size
  for (int32_t axis = 0; axis < tensor.rank; ++axis) {
    if (tensor.shape[axis] > 1) axes.emplace_back(tensor.stride[axis], tensor.shape[axis]);
  }
  std::sort(axes.begin(), axes.end());
  int64_t reach = 0;
  for (const auto& [stride, size] : axes) {
    if (stride <= reach) return false;
    reach += stride * (size - 1);
  }
  return true;
}

}  // namespace packproof
