#pragma once

#include "kernels/common/convert.cuh"
#include "packproof/kernel_abi.h"

#include <cstdint>

namespace packproof {

/// Calls run.operator()<T>() with the storage type of a dtype that has been checked to be one of
/// f32, f16 and bf16.
template <typename Run>
packproof_status dispatch_dtype(int32_t dtype, Run run) {
  switch (dtype) {
    case PACKPROOF_F16:
      return run.template operator()<Half>();
    case PACKPROOF_BF16:
      return run.template operator()<BFloat16>();
    default:
      return run.template operator()<float>();
  }
}

}  // namespace packproof
