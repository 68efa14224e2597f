#pragma once

#include "kernels/testing/test_memory.h"
#include "packproof/kernel_abi.h"

#include <cstdint>
#include <vector>

namespace packproof {

enum class TestMetadata { kCuSeqlens, kCuSeqlens64, kSeqIdx, kBoth };

/// Lengths of packed sequences as the metadata that a kernel receives, slack rows at the end.
struct TestPacking {
  TestPacking(std::vector<int64_t> lengths, int64_t slack,
              TestMetadata metadata = TestMetadata::kCuSeqlens)
      : lens(std::move(lengths)), metadata(metadata), cu{0}, cu64{0} {
    for (size_t n = 0; n < lens.size(); ++n) {
      seq_idx.insert(seq_idx.end(), static_cast<size_t>(lens[n]), static_cast<int32_t>(n));
      cu.push_back(cu.back() + static_cast<int32_t>(lens[n]));
      cu64.push_back(cu.back());
    }
    seq_idx.insert(seq_idx.end(), static_cast<size_t>(slack), -1);
  }

  int64_t num_seqs() const { return static_cast<int64_t>(lens.size()); }

  int64_t total() const { return static_cast<int64_t>(seq_idx.size()); }

  packproof_packing view() const {
    packproof_packing packing{};
    packing.num_seqs = num_seqs();
    packing.total_tokens = total();
    if (metadata == TestMetadata::kCuSeqlens64) {
      packing.cu_seqlens = packing.cu_seqlens_host = cu64.data();
      packing.cu_seqlens_dtype = PACKPROOF_I64;
    } else if (metadata != TestMetadata::kSeqIdx) {
      packing.cu_seqlens = packing.cu_seqlens_host = cu.data();
      packing.cu_seqlens_dtype = PACKPROOF_I32;
    }
    if (metadata == TestMetadata::kSeqIdx || metadata == TestMetadata::kBoth) {
      packing.seq_idx = packing.seq_idx_host = seq_idx.data();
    }
    return packing;
  }

  std::vector<int64_t> lens;
  TestMetadata metadata;
  TestVector<int32_t> cu;
  TestVector<int64_t> cu64;
  TestVector<int32_t> seq_idx;
};

/// `num_batches` dense rows.
inline packproof_packing dense_packing(int64_t num_batches, int64_t row_length) {
  packproof_packing packing{};
  packing.num_seqs = num_batches;
  packing.total_tokens = num_batches * row_length;
  return packing;
}

}  // namespace packproof
