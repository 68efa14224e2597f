#include "kernels/plain/sequences.h"

#include "kernels/plain/argument_check.h"
#include "kernels/plain/tensor_access.h"

static int64_t cu_seqlen(const packproof_packing* packing, int64_t n) {
  return packing->cu_seqlens_dtype == PACKPROOF_I64 ? ((const int64_t*)packing->cu_seqlens)[n]
                                                    : ((const int32_t*)packing->cu_seqlens)[n];
}

static void check_cu_seqlens(plain_check* check, const packproof_packing* packing) {
  if (packing->cu_seqlens_dtype != PACKPROOF_I32 && packing->cu_seqlens_dtype != PACKPROOF_I64) {
    plain_refuse(check, "expected cu_seqlens in i32 or i64, found dtype %d",
                 packing->cu_seqlens_dtype);
    return;
  }
  if (cu_seqlen(packing, 0) != 0) {
    plain_refuse(check, "expected cu_seqlens to start at 0, found %lld",
                 (long long)cu_seqlen(packing, 0));
    return;
  }
  for (int64_t n = 0; n < packing->num_seqs; ++n) {
    const int64_t begin = cu_seqlen(packing, n), end = cu_seqlen(packing, n + 1);
    if (end >= begin && end <= packing->total_tokens) continue;
    plain_refuse(check,
                 "expected cu_seqlens that never decreases, within %lld rows, found %lld after "
                 "%lld at entry %lld",
                 (long long)packing->total_tokens, (long long)end, (long long)begin,
                 (long long)(n + 1));
    return;
  }
}

void plain_check_packing(plain_check* check, const packproof_packing* packing, int64_t num_batches,
                         int64_t row_length) {
  if (check->status != PACKPROOF_OK) return;
  if (packing->num_seqs < 0 || packing->num_seqs > INT32_MAX) {
    plain_refuse(check, "expected num_seqs in 0..2^31-1, found %lld", (long long)packing->num_seqs);
  } else if ((!packing->cu_seqlens && packing->cu_seqlens_host) ||
             (!packing->seq_idx && packing->seq_idx_host)) {
    plain_refuse(check, "expected %s beside its host copy, found a null pointer",
                 packing->seq_idx_host && !packing->seq_idx ? "seq_idx" : "cu_seqlens");
  } else if (!packing->cu_seqlens && !packing->seq_idx) {
    if (packing->num_seqs != num_batches) {
      plain_refuse(check, "expected num_seqs to be the batch size %lld of a dense call, found %lld",
                   (long long)num_batches, (long long)packing->num_seqs);
    }
  } else if (num_batches != 1) {
    plain_refuse(check, "expected one batch row in a packed call, found %lld",
                 (long long)num_batches);
  } else if (packing->total_tokens != row_length) {
    plain_refuse(check,
                 "expected total_tokens to be the %lld rows of the token tensors, found %lld",
                 (long long)row_length, (long long)packing->total_tokens);
  } else if (packing->cu_seqlens) {
    check_cu_seqlens(check, packing);
  }
  for (int64_t row = 0; packing->seq_idx && row < row_length; ++row) {
    if (check->status != PACKPROOF_OK) return;
    if (packing->seq_idx[row] < -1) {
      plain_refuse(check, "expected seq_idx of at least -1, found %d at row %lld",
                   packing->seq_idx[row], (long long)row);
    }
  }
}

int64_t plain_slot(const packproof_tensor* indices, int64_t n) {
  return plain_present(indices) ? ((const int32_t*)indices->data)[n * indices->stride[0]] : n;
}

/* A slot that two rows have, or -1. */
static int64_t repeated_slot(const packproof_tensor* indices, int64_t num_rows) {
  for (int64_t n = 0; n < num_rows; ++n) {
    const int64_t slot = plain_slot(indices, n);
    for (int64_t before = 0; before < n && slot >= 0; ++before) {
      if (plain_slot(indices, before) == slot) return slot;
    }
  }
  return -1;
}

void plain_check_slots(plain_check* check, const packproof_tensor* indices, int64_t num_rows,
                       int64_t num_slots) {
  if (check->status != PACKPROOF_OK) return;
  if (!plain_present(indices)) {
    if (num_slots < num_rows) {
      plain_refuse(check,
                   "expected a slot for each of the %lld rows without state_indices, found %lld",
                   (long long)num_rows, (long long)num_slots);
    }
    return;
  }
  for (int64_t n = 0; n < num_rows; ++n) {
    const int64_t slot = plain_slot(indices, n);
    if (slot >= -1 && slot < num_slots) continue;
    plain_refuse(check, "expected state_indices of -1 or a slot below %lld, found %lld at row %lld",
                 (long long)num_slots, (long long)slot, (long long)n);
    return;
  }
  const int64_t repeated = repeated_slot(indices, num_rows);
  if (repeated >= 0) {
    plain_refuse(check, "expected every slot at most once in state_indices, found slot %lld twice",
                 (long long)repeated);
  }
}

void plain_check_sequences(plain_check* check, const packproof_packing* packing) {
  if (check->status != PACKPROOF_OK || plain_has_sequences(packing)) return;
  plain_refuse(check, "expected seq_idx that defines sequences, found other ids");
}

int plain_has_sequences(const packproof_packing* packing) {
  int32_t last = 0, ended = 0;
  if (packing->cu_seqlens || !packing->seq_idx) return 1;
  for (int64_t row = 0; row < packing->total_tokens; ++row) {
    const int32_t id = packing->seq_idx[row];
    if (id < 0) {
      ended = 1;
    } else if (ended || id < last || id >= packing->num_seqs) {
      return 0;
    } else {
      last = id;
    }
  }
  return 1;
}

void plain_fill_boundaries(const packproof_packing* packing, int64_t row_length,
                           int64_t* boundaries) {
  int64_t row = 0;
  for (int64_t n = 0; n <= packing->num_seqs; ++n) {
    if (packing->cu_seqlens) {
      boundaries[n] = cu_seqlen(packing, n);
    } else if (packing->seq_idx) {
      while (row < packing->total_tokens && packing->seq_idx[row] >= 0 &&
             packing->seq_idx[row] < n) {
        ++row;
      }
      boundaries[n] = row;
    } else {
      boundaries[n] = n * row_length;
    }
  }
}
