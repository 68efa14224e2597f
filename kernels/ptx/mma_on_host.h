#pragma once

#include "kernels/simt/thread.h"

#include <cstdint>

namespace packproof::simt {

enum class MmaShape { kM16N8K16Bf16, kM16N8K16F16, kM16N8K8Tf32 };

/// Host twin of mma.sync: one lane's fragments. The layout of the fragments is PTX's; the sum is
/// that of multiply() in tile_product_on_host.h.
void mma(MmaShape shape, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2], Site site);

}  // namespace packproof::simt
