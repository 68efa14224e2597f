#pragma once

#include "kernels/common/platform.cuh"

// The instruction of warpgroup_mma.cuh. Its text names every register, so there is one for each
// number of columns. Code for other architectures than sm_90a stops where it would run.

namespace packproof::ptx::sm90 {

#ifdef __CUDA_ARCH_FEAT_SM90_ALL

/// The matrix descriptor of a factor in shared memory without a swizzle.
__device__ __forceinline__ uint64_t matrix_descriptor(const void* first, int k_step, int n_step) {
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(first));
  return (address & 0x3ffff) >> 4 | static_cast<uint64_t>(k_step >> 4) << 16 |
         static_cast<uint64_t>(n_step >> 4) << 32;
}

#define PACKPROOF_REGISTERS_8(i)                                                              \
  "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3]), "+f"(d[i + 4]), "+f"(d[i + 5]), \
      "+f"(d[i + 6]), "+f"(d[i + 7])
#define PACKPROOF_REGISTERS_16(i) PACKPROOF_REGISTERS_8(i), PACKPROOF_REGISTERS_8((i) + 8)
#define PACKPROOF_REGISTERS_32(i) PACKPROOF_REGISTERS_16(i), PACKPROOF_REGISTERS_16((i) + 16)
#define PACKPROOF_NUMBERS_8 "%0, %1, %2, %3, %4, %5, %6, %7"
#define PACKPROOF_NUMBERS_16 PACKPROOF_NUMBERS_8 ", %8, %9, %10, %11, %12, %13, %14, %15"
#define PACKPROOF_NUMBERS_24 PACKPROOF_NUMBERS_16 ", %16, %17, %18, %19, %20, %21, %22, %23"
#define PACKPROOF_NUMBERS_32 PACKPROOF_NUMBERS_24 ", %24, %25, %26, %27, %28, %29, %30, %31"
#define PACKPROOF_NUMBERS_64                                                 \
  PACKPROOF_NUMBERS_32                                                       \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, " \
  "%46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, "   \
  "%60, %61, %62, %63"

/// `left`, `right`, `add` and `transpose`: the numbers that follow those of the registers of d.
#define PACKPROOF_WGMMA(type, columns, numbers, left, right, add_to, transpose, ...)     \
  asm volatile("{ .reg .pred adds; setp.ne.b32 adds, " add_to                            \
               ", 0; wgmma.mma_async.sync.aligned.m64n" columns "k16.f32." type "." type \
               " {" numbers "}, {" left "}, " right ", adds, 1, 1, " transpose "; }"     \
               : __VA_ARGS__                                                             \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(descriptor), "r"(adds), \
                 "n"(kTranspose))

#define PACKPROOF_WGMMA_OF_TYPE(type)                                                             \
  if constexpr (kColumns == 16) {                                                                 \
    PACKPROOF_WGMMA(type, "16", PACKPROOF_NUMBERS_8, "%8, %9, %10, %11", "%12", "%13", "%14",     \
                    PACKPROOF_REGISTERS_8(0));                                                    \
  } else if constexpr (kColumns == 32) {                                                          \
    PACKPROOF_WGMMA(type, "32", PACKPROOF_NUMBERS_16, "%16, %17, %18, %19", "%20", "%21", "%22",  \
                    PACKPROOF_REGISTERS_16(0));                                                   \
  } else if constexpr (kColumns == 48) {                                                          \
    PACKPROOF_WGMMA(type, "48", PACKPROOF_NUMBERS_24, "%24, %25, %26, %27", "%28", "%29", "%30",  \
                    PACKPROOF_REGISTERS_16(0), PACKPROOF_REGISTERS_8(16));                        \
  } else if constexpr (kColumns == 64) {                                                          \
    PACKPROOF_WGMMA(type, "64", PACKPROOF_NUMBERS_32, "%32, %33, %34, %35", "%36", "%37", "%38",  \
                    PACKPROOF_REGISTERS_32(0));                                                   \
  } else if constexpr (kColumns == 128) {                                                         \
    PACKPROOF_WGMMA(type, "128", PACKPROOF_NUMBERS_64, "%64, %65, %66, %67", "%68", "%69", "%70", \
                    PACKPROOF_REGISTERS_32(0), PACKPROOF_REGISTERS_32(32));                       \
  }

#endif

template <bool kBFloat16, int kColumns, bool kTranspose>
__device__ __forceinline__ void warpgroup_mma([[maybe_unused]] float (&d)[kColumns / 2],
                                              [[maybe_unused]] const uint32_t (&a)[4],
                                              [[maybe_unused]] const void* first,
                                              [[maybe_unused]] int k_step,
                                              [[maybe_unused]] int n_step,
                                              [[maybe_unused]] bool add) {
  static_assert(kColumns == 16 || kColumns == 32 || kColumns == 48 || kColumns == 64 ||
                kColumns == 128);
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  const uint64_t descriptor = matrix_descriptor(first, k_step, n_step);
  const int adds = add ? 1 : 0;
  if constexpr (kBFloat16) {
    PACKPROOF_WGMMA_OF_TYPE("bf16")
  } else {
    PACKPROOF_WGMMA_OF_TYPE("f16")
  }
#elif defined(__CUDA_ARCH__)
  __trap();
#endif
}

}  // namespace packproof::ptx::sm90
