#pragma once

#include "kernels/simt/thread.h"

#include <cstdint>

namespace packproof::simt {

/// Host twin of stmatrix for four matrices.
void store_matrix(const uint32_t (&registers)[4], bool transpose, void* row, Site site);

}  // namespace packproof::simt
