#pragma once

#include "kernels/simt/thread.h"

#include <cstdint>

namespace packproof::simt {

/// A product of warpgroup_mma.cuh but for its registers.
struct WarpgroupProduct {
  bool bfloat16;  ///< Else half.
  int num_columns;
  bool rows_along_n;
  bool add;
  const void* first;
  int k_step;
  int n_step;

  bool operator==(const WarpgroupProduct&) const = default;
};

/// Host twin of wgmma.mma_async. Each warp's rows are a product of their own, so the four warps are
/// not waited for. By bit 1 of the schedule seed a product happens either at once, or when it is
/// waited for: registers and shared memory that the kernel reads or writes too early then show. Sums
/// are those of multiply() in tile_product_on_host.h.
void warpgroup_mma(const WarpgroupProduct& product, float* d, const uint32_t* a, Site site);

void warpgroup_mma_commit();

void warpgroup_mma_wait(int pending);

}  // namespace packproof::simt
