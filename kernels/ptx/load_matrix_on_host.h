#pragma once

#include "kernels/simt/thread.h"

#include <cstdint>

namespace packproof::simt {

/// Host twin of ldmatrix for 1, 2 or 4 matrices; `registers` has as many elements.
void load_matrix(uint32_t* registers, int num_matrices, bool transpose, const void* row, Site site);

}  // namespace packproof::simt
