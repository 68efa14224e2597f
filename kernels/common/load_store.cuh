#pragma once

#include "kernels/common/convert.cuh"
#include "kernels/common/platform.cuh"
#include "packproof/kernel_abi.h"

#include <cstdint>

namespace packproof {

/// A tensor of kRank axes as kernels address it: strides in elements, offsets in 64 bits, so that
/// token pitch times tokens may pass 2^32. Null `data` is an absent optional tensor.
template <typename T, int kRank>
struct StridedView {
  T* data;
  int64_t stride[kRank];

  template <typename... Index>
  __device__ T* at(Index... index) const {
    static_assert(sizeof...(Index) == kRank);
    int64_t offset = 0;
    int axis = 0;
    ((offset += static_cast<int64_t>(index) * stride[axis++]), ...);
    return data + offset;
  }

  template <typename... Index>
  __device__ float load(Index... index) const {
    return to_float(*at(index...));
  }

  template <typename... Index>
  __device__ void store(float value, Index... index) const {
    *at(index...) = from_float<T>(value);
  }
};

/// The last kRank - kSkipped axes of `tensor` preceded by kSkipped axes of stride 0, so that ops
/// without a batch axis share the code of those that have one.
template <typename T, int kRank, int kSkipped = 0>
StridedView<T, kRank> view_of(const packproof_tensor& tensor) {
  StridedView<T, kRank> view{static_cast<T*>(tensor.data), {}};
  for (int axis = kSkipped; axis < kRank; ++axis)
    view.stride[axis] = tensor.stride[axis - kSkipped];
  return view;
}

}  // namespace packproof
