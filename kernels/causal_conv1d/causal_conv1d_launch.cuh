#pragma once

#include "kernels/common/dispatch.cuh"
#include "packproof/kernel_abi.h"

#include <cstdint>

namespace packproof {

/// Channels of a block: full warps, at most 128.
inline int conv_threads(int64_t channels) {
  return channels >= 128 ? 128 : static_cast<int>((channels + 31) / 32 * 32);
}

/// Calls run.operator()<T, kWidth>() for a checked dtype and width.
template <typename Run>
packproof_status dispatch_conv(int32_t dtype, int64_t width, Run run) {
  return dispatch_dtype(dtype, [&]<typename T>() {
    switch (width) {
      case 2:
        return run.template operator()<T, 2>();
      case 3:
        return run.template operator()<T, 3>();
      case 4:
        return run.template operator()<T, 4>();
      case 5:
        return run.template operator()<T, 5>();
      case 6:
        return run.template operator()<T, 6>();
      case 7:
        return run.template operator()<T, 7>();
      default:
        return run.template operator()<T, 8>();
    }
  });
}

}  // namespace packproof
