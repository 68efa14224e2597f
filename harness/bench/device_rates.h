#pragma once

#include "harness/core/result.h"
#include "harness/worker/device.h"

#include <string>

namespace packproof {

/// What the device reaches at its best, to compare kernels with.
struct DeviceRates {
  std::string device;
  double copy_bytes_per_second =
      0.0;  ///< Read and written, 1 GiB to another place; 64 MiB on the host.
  double product_flop_per_second = 0.0;  ///< 8192^3 of random bf16 by cuBLAS; 0: not measured.
  std::string product_remark;            ///< Why it was not.
};

/// Medians of 20 runs. cuBLAS is looked for as libcublas.so.13, .12 and .so where the system finds
/// libraries (LD_LIBRARY_PATH); on the host there is no product to compare with.
Result<DeviceRates> measure_rates(Device& device);

}  // namespace packproof
