#include "harness/bench/device_rates.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <type_traits>
#include <vector>

#include <dlfcn.h>

namespace packproof {
namespace {

constexpr int kRuns = 20;
constexpr int64_t kProductSize = 8192;

// The few declarations of cublas_v2.h and library_types.h that are used here.
constexpr int kNoTranspose = 0;      // CUBLAS_OP_N
constexpr int kRealBfloat16 = 14;    // CUDA_R_16BF
constexpr int kComputeFloat32 = 68;  // CUBLAS_COMPUTE_32F
constexpr int kDefaultAlgorithm = -1;

struct Cublas {
  int (*create)(void**) = nullptr;
  int (*destroy)(void*) = nullptr;
  int (*set_stream)(void*, void*) = nullptr;
  int (*gemm)(void*, int, int, int, int, int, const void*, const void*, int, int, const void*, int,
              int, const void*, void*, int, int, int, int) = nullptr;

  /// False where the system finds no such library.
  bool load() {
    void* handle = nullptr;
    for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"}) {
      if (handle == nullptr) handle = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    if (handle == nullptr) return false;
    const auto find = [handle](auto& function, const char* name) {
      function =
          reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(handle, name));
      return function != nullptr;
    };
    return find(create, "cublasCreate_v2") && find(destroy, "cublasDestroy_v2") &&
           find(set_stream, "cublasSetStream_v2") && find(gemm, "cublasGemmEx");
  }
};

Result<double> median_time(Device& device, const std::function<void()>& launch) {
  std::vector<double> seconds;
  for (int run = 0; run < kRuns; ++run) {
    PACKPROOF_TRY(const double timed, device.time(launch));
    seconds.push_back(timed);
  }
  std::ranges::nth_element(seconds, seconds.begin() + kRuns / 2);
  return seconds[kRuns / 2];
}

Status measure_copy(Device& device, DeviceRates& rates) {
  const std::size_t size = std::size_t{1} << (device.sm() == 0 ? 26 : 30);
  PACKPROOF_TRY(const auto from, device.allocate({.name = "copy, source", .bytes = size}));
  PACKPROOF_TRY(const auto to, device.allocate({.name = "copy, target", .bytes = size}));
  PACKPROOF_CHECK_OK(from->fill(std::byte{1}));
  Status copied;
  PACKPROOF_TRY(const double seconds, median_time(device, [&] {
                  if (copied.ok()) copied = device.copy(*from, *to, size);
                }));
  PACKPROOF_CHECK_OK(copied);
  rates.copy_bytes_per_second = 2.0 * static_cast<double>(size) / seconds;
  return {};
}

/// Of size 1/2 to 1 with either sign: equal factors would draw less power than real ones.
std::vector<uint16_t> random_factors(uint64_t seed) {
  std::vector<uint16_t> factors(static_cast<std::size_t>(kProductSize * kProductSize));
  uint64_t state = seed;
  for (uint16_t& factor : factors) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    factor = static_cast<uint16_t>((state >> 48 & 0x807FU) | 0x3F00U);
  }
  return factors;
}

Status measure_product(Device& device, DeviceRates& rates) {
  Cublas cublas;
  if (!cublas.load()) {
    rates.product_remark = "no cuBLAS found (LD_LIBRARY_PATH)";
    return {};
  }
  std::unique_ptr<GuardedBuffer> buffers[3];
  for (int i = 0; i < 3; ++i) {
    const std::vector<uint16_t> factors = random_factors(static_cast<uint64_t>(i));
    const std::span<const std::byte> bytes = std::as_bytes(std::span(factors));
    PACKPROOF_TRY(buffers[i], device.allocate({.name = "factor", .bytes = bytes.size()}));
    PACKPROOF_CHECK_OK(buffers[i]->write(bytes));
  }
  void* handle = nullptr;
  if (cublas.create(&handle) != 0) {
    rates.product_remark = "cuBLAS could not be started";
    return {};
  }
  int failed = cublas.set_stream(handle, device.stream());
  const float one = 1.0F;
  const float zero = 0.0F;
  const int size = kProductSize;
  const Result<double> seconds = median_time(device, [&] {
    failed |= cublas.gemm(handle, kNoTranspose, kNoTranspose, size, size, size, &one,
                          buffers[0]->address(), kRealBfloat16, size, buffers[1]->address(),
                          kRealBfloat16, size, &zero, buffers[2]->address(), kRealBfloat16, size,
                          kComputeFloat32, kDefaultAlgorithm);
  });
  cublas.destroy(handle);
  if (!seconds.ok()) return seconds.error();
  if (failed != 0) {
    rates.product_remark = "cuBLAS refused the product";
    return {};
  }
  const auto edge = static_cast<double>(kProductSize);
  rates.product_flop_per_second = 2.0 * edge * edge * edge / *seconds;
  return {};
}

}  // namespace

Result<DeviceRates> measure_rates(Device& device) {
  DeviceRates rates;
  rates.device = device.name();
  PACKPROOF_CHECK_OK(measure_copy(device, rates));
  if (device.sm() == 0) {
    rates.product_remark = "on the host CUDA threads are fibers";
  } else {
    PACKPROOF_CHECK_OK(measure_product(device, rates));
  }
  return rates;
}

}  // namespace packproof
