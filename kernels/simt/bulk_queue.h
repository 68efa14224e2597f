#pragma once

#include <cstddef>
#include <vector>

namespace packproof::simt {

/// A copy of kernels/ptx/bulk_copy.cuh that has been started and not yet made.
struct BulkCopy {
  const void* barrier;
  void* destination;
  const void* source;
  std::size_t bytes;
  void* caller;  ///< An instruction of the kernel, for reports of races.
};

/// Those of the running thread's block, in the order of their starts.
std::vector<BulkCopy>& running_bulk_copies();

}  // namespace packproof::simt
