/* A library that goes wrong on demand: the first row is the vendor example and behaves; every other
 * row is a variant named after what it does wrong, and runs only when a case demands it
 * (`variant=hangs`). Calls that the vendor example refuses are refused by all rows. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SSE__)
#include <xmmintrin.h>
#endif

#include "packproof/kernel_abi.h"

/* vendor_conv1d.c, built under this name. */
const packproof_library* vendor_kernel_library(void);

typedef packproof_causal_conv1d_fwd_args conv_args;

static const packproof_kernel* vendor(void) { return vendor_kernel_library()->kernels; }

static const char* unsupported_reason(const void* args, int32_t sm) {
  return vendor()->unsupported_reason(args, sm);
}

static size_t no_workspace(const void* args) { return args ? 0 : 0; }

static size_t small_workspace(const void* args) { return args ? 100 : 0; }

static packproof_status right(const void* args, packproof_message* message) {
  return vendor()->launch(args, NULL, 0, NULL, message);
}

static int64_t output_elements(const conv_args* a) {
  return a->output.shape[0] * a->output.shape[1] * a->output.shape[2];
}

#define LAUNCH(name)                                                                      \
  static packproof_status name(const void* args, void* workspace, size_t workspace_bytes, \
                               void* stream, packproof_message* message)
#define UNUSED (void)args, (void)workspace, (void)workspace_bytes, (void)stream, (void)message

LAUNCH(behaves) {
  UNUSED;
  return right(args, message);
}

LAUNCH(hangs) {
  UNUSED;
  while (workspace_bytes == 0) pause();
  return PACKPROOF_OK;
}

LAUNCH(null_write) {
  static int* volatile nowhere = NULL;
  UNUSED;
  *nowhere = 1;
  return PACKPROOF_OK;
}

LAUNCH(exits) {
  UNUSED;
  exit(3);
}

LAUNCH(aborts) {
  UNUSED;
  abort();
}

LAUNCH(writes_before) {
  UNUSED;
  const packproof_status status = right(args, message);
  ((float*)((const conv_args*)args)->output.data)[-1] = 1.0f;
  return status;
}

LAUNCH(writes_after) {
  UNUSED;
  const conv_args* a = args;
  const packproof_status status = right(args, message);
  ((float*)a->output.data)[output_elements(a)] = 1.0f;
  return status;
}

/* One element past the end of x enters the first output. */
LAUNCH(reads_after) {
  UNUSED;
  const conv_args* a = args;
  const packproof_status status = right(args, message);
  const volatile float* x = a->x.data;
  ((float*)a->output.data)[0] += x[a->x.shape[0] * a->x.shape[1] * a->x.shape[2]];
  return status;
}

/* The element behind the first row of a strided output. */
LAUNCH(writes_gap) {
  UNUSED;
  const conv_args* a = args;
  ((float*)a->output.data)[a->output.shape[2]] = 1.0f;
  return PACKPROOF_OK;
}

LAUNCH(writes_input) {
  UNUSED;
  const packproof_status status = right(args, message);
  ((float*)((const conv_args*)args)->weight.data)[0] += 1.0f;
  return status;
}

LAUNCH(writes_workspace_end) {
  UNUSED;
  memset(workspace, 0, workspace_bytes + 1);
  return right(args, message);
}

LAUNCH(changes_mxcsr) {
  UNUSED;
#if defined(__SSE__)
  _mm_setcsr(_mm_getcsr() | 0x8040); /* Flush to zero, denormals are zero. */
#endif
  return right(args, message);
}

/* Adds the number of earlier calls to the first output. */
LAUNCH(keeps_state) {
  static int calls = 0;
  UNUSED;
  const packproof_status status = right(args, message);
  ((float*)((const conv_args*)args)->output.data)[0] += (float)calls++;
  return status;
}

LAUNCH(prints) {
  UNUSED;
  printf("launching causal_conv1d\n");
  fflush(stdout);
  return right(args, message);
}

LAUNCH(reads_stdin) {
  char block[64];
  UNUSED;
  while (read(0, block, sizeof block) > 0) {
  }
  return right(args, message);
}

LAUNCH(refuses_without_sentence) {
  UNUSED;
  return PACKPROOF_INVALID_ARGUMENT;
}

LAUNCH(refuses_after_writing) {
  UNUSED;
  right(args, message);
  strcpy(message->text, "refused after all");
  return PACKPROOF_INVALID_ARGUMENT;
}

/* Rows after the last sequence get the bits that a computation on NaN may leave. */
LAUNCH(computes_slack) {
  UNUSED;
  const conv_args* a = args;
  const packproof_status status = right(args, message);
  const int32_t* ends = a->packing.cu_seqlens_host;
  const int64_t first = ends ? ends[a->packing.num_seqs] : a->packing.total_tokens;
  const int64_t rows = a->packing.total_tokens - first;
  memset((float*)a->output.data + first * a->output.shape[2], 0xff,
         (size_t)(rows * a->output.shape[2]) * sizeof(float));
  return status;
}

LAUNCH(gives_nan) {
  UNUSED;
  const conv_args* a = args;
  const packproof_status status = right(args, message);
  for (int64_t i = 0; i < output_elements(a); ++i) ((float*)a->output.data)[i] = NAN;
  return status;
}

/* The first row of a pack, whichever sequence it is of. */
LAUNCH(knows_its_place) {
  UNUSED;
  const packproof_status status = right(args, message);
  ((float*)((const conv_args*)args)->output.data)[0] += 1.0f;
  return status;
}

LAUNCH(skips_after_writing) {
  UNUSED;
  ((float*)((const conv_args*)args)->weight.data)[0] += 1.0f;
  strcpy(message->text, "not this one");
  return PACKPROOF_NOT_SUPPORTED;
}

LAUNCH(unknown_status) {
  UNUSED;
  return (packproof_status)77;
}

#define ROW(function, workspace)                                                     \
  {                                                                                  \
    sizeof(packproof_kernel), PACKPROOF_CAUSAL_CONV1D, PACKPROOF_FORWARD, #function, \
        unsupported_reason, workspace, function, PACKPROOF_CONTENTS_UNCHECKED, 0     \
  }

const packproof_library* packproof_kernel_library(void) {
  static const packproof_kernel kernels[] = {
      ROW(behaves, no_workspace),
      ROW(hangs, no_workspace),
      ROW(null_write, no_workspace),
      ROW(exits, no_workspace),
      ROW(aborts, no_workspace),
      ROW(writes_before, no_workspace),
      ROW(writes_after, no_workspace),
      ROW(reads_after, no_workspace),
      ROW(writes_gap, no_workspace),
      ROW(writes_input, no_workspace),
      ROW(writes_workspace_end, small_workspace),
      ROW(changes_mxcsr, no_workspace),
      ROW(keeps_state, no_workspace),
      ROW(prints, no_workspace),
      ROW(reads_stdin, no_workspace),
      ROW(refuses_without_sentence, no_workspace),
      ROW(refuses_after_writing, no_workspace),
      ROW(computes_slack, no_workspace),
      ROW(gives_nan, no_workspace),
      ROW(knows_its_place, no_workspace),
      ROW(skips_after_writing, no_workspace),
      ROW(unknown_status, no_workspace),
  };
  static const packproof_library library = {
      .struct_size = sizeof(packproof_library),
      .abi_version = PACKPROOF_ABI_VERSION,
      .device = PACKPROOF_DEVICE_HOST,
      .name = "misbehaving",
      .version = "1.0",
      .num_kernels = sizeof kernels / sizeof kernels[0],
      .kernels = kernels,
  };
  return &library;
}
