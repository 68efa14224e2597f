/* A vendor library against kernel_abi.h alone: causal_conv1d forward in f32, dense or packed by
 * int32 cu_seqlens, contiguous. It says no with a sentence to everything else. */
#include "packproof/kernel_abi.h"

#include <math.h>
#include <stdio.h>

static const char* unsupported_reason(const void* arguments, int32_t sm) {
  const packproof_causal_conv1d_fwd_args* a = arguments;
  (void)sm;
  if (a->x.dtype != PACKPROOF_F32) return "only f32 is supported";
  if (a->packing.seq_idx) return "only boundaries by cu_seqlens are supported";
  if (a->packing.cu_seqlens && a->packing.cu_seqlens_dtype != PACKPROOF_I32)
    return "only int32 cu_seqlens are supported";
  if (a->initial_state.data || a->final_state.data) return "states are not supported";
  if (a->x.stride[2] != 1 || a->x.stride[1] != a->x.shape[2]) return "x must be contiguous";
  return NULL;
}

static size_t workspace_size(const void* arguments) { return arguments ? 0 : 0; }

static packproof_status launch(const void* arguments, void* workspace, size_t workspace_bytes,
                               void* stream, packproof_message* message) {
  const packproof_causal_conv1d_fwd_args* a = arguments;
  const int64_t rows = a->x.shape[0] * a->x.shape[1], C = a->x.shape[2], W = a->weight.shape[1];
  const float *x = a->x.data, *weight = a->weight.data, *bias = a->bias.data;
  float* output = a->output.data;
  const int32_t* cu = a->packing.cu_seqlens;
  (void)workspace, (void)workspace_bytes, (void)stream;
  for (int64_t n = 0; cu && n <= a->packing.num_seqs; ++n) {
    if (cu[n] < 0 || cu[n] > rows || (n == 0 ? cu[n] != 0 : cu[n] < cu[n - 1])) {
      snprintf(message->text, sizeof message->text,
               "cu_seqlens[%d] = %d starts no sequence of %d rows", (int)n, (int)cu[n], (int)rows);
      return PACKPROOF_INVALID_ARGUMENT;
    }
  }
  for (int64_t n = 0; n < a->packing.num_seqs; ++n) {
    const int64_t begin = cu ? cu[n] : n * a->x.shape[1];
    const int64_t end = cu ? cu[n + 1] : begin + a->x.shape[1];
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t c = 0; c < C; ++c) {
        float sum = bias ? bias[c] : 0.0f;
        for (int64_t j = 0; j < W; ++j) {
          const int64_t from = t - W + 1 + j;
          if (from >= begin) sum += weight[c * W + j] * x[from * C + c];
        }
        output[t * C + c] = a->activation == PACKPROOF_SILU ? sum / (1.0f + expf(-sum)) : sum;
      }
    }
  }
  return PACKPROOF_OK;
}

const packproof_library* packproof_kernel_library(void) {
  static const packproof_kernel kernels[] = {{sizeof(packproof_kernel), PACKPROOF_CAUSAL_CONV1D,
                                              PACKPROOF_FORWARD, "vendor", unsupported_reason,
                                              workspace_size, launch, PACKPROOF_CONTENTS_UNCHECKED,
                                              1u << PACKPROOF_F32}};
  static const packproof_library library = {.struct_size = sizeof(packproof_library),
                                            .abi_version = PACKPROOF_ABI_VERSION,
                                            .device = PACKPROOF_DEVICE_HOST,
                                            .name = "vendor_example",
                                            .version = "1.0",
                                            .num_kernels = 1,
                                            .kernels = kernels};
  return &library;
}
