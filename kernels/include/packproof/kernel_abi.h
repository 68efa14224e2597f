/* The boundary between packproof and any kernel library. C99; also compiles as C11, C++ and in nvcc.
 *
 * A library exports one function, packproof_kernel_library(), which returns a table of kernels. It
 * is loaded inside `packproof worker`, never into the harness. All strides count elements. All
 * tensors live where `device` of the table says: host memory or CUDA device memory. Tensors and
 * metadata are aligned to their elements, workspaces to 256 bytes.
 *
 * Token tensors, weights and their gradients share one dtype; tensors marked f32 are f32 whatever
 * that is, and so are their gradients (d_g, d_A_log, d_dt_bias, gradients of delta-rule states).
 * Every element of an output has its own place, apart from all inputs and metadata.
 *
 * Packed calls: token tensors have shape [1, T, ...] and packing.cu_seqlens and/or packing.seq_idx
 * are given. Dense calls: token tensors have shape [B, L, ...], packing.num_seqs = B and both
 * pointers are null. Rows of one sequence never see another sequence.
 *   - With seq_idx given, causal_conv1d follows it: rows whose id is < 0 are written as zeros.
 *   - With cu_seqlens alone, rows >= cu_seqlens[num_seqs] are never read into a result nor written.
 *   - With both, causal_conv1d follows seq_idx and everything else follows cu_seqlens.
 * Optional tensors are absent when their rank is 0 (and data null); a tensor without elements is
 * present and may have null data. In backward calls an absent gradient is not wanted. Empty sequences
 * are legal everywhere: their final state is their initial state (zeros without one).
 */
#ifndef PACKPROOF_KERNEL_ABI_H
#define PACKPROOF_KERNEL_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define PACKPROOF_ABI_VERSION 1
#define PACKPROOF_MAX_RANK 5
#define PACKPROOF_MESSAGE_SIZE 512

#if defined(_WIN32)
#define PACKPROOF_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define PACKPROOF_EXPORT __attribute__((visibility("default")))
#else
#define PACKPROOF_EXPORT
#endif

typedef enum packproof_dtype {
  PACKPROOF_F32 = 0,
  PACKPROOF_F16 = 1,
  PACKPROOF_BF16 = 2,
  PACKPROOF_F64 = 3,
  PACKPROOF_I32 = 4,
  PACKPROOF_I64 = 5
} packproof_dtype;

typedef enum packproof_device {
  PACKPROOF_DEVICE_HOST = 0,
  PACKPROOF_DEVICE_CUDA = 1
} packproof_device;

typedef enum packproof_status {
  PACKPROOF_OK = 0,
  PACKPROOF_NOT_SUPPORTED = 1,      /* A shape, dtype or option this kernel does not provide. */
  PACKPROOF_INVALID_ARGUMENT = 2,   /* Arguments that contradict each other or the contract. */
  PACKPROOF_DEVICE_ERROR = 3,       /* The device reported an error. */
  PACKPROOF_UNDEFINED_BEHAVIOUR = 4 /* Host execution found what CUDA calls undefined. */
} packproof_status;

typedef enum packproof_activation { PACKPROOF_NONE = 0, PACKPROOF_SILU = 1, PACKPROOF_GELU = 2 } packproof_activation;

/* Where a call's sentence goes when it does not return PACKPROOF_OK; always terminated. */
typedef struct packproof_message {
  char text[PACKPROOF_MESSAGE_SIZE];
} packproof_message;

typedef struct packproof_tensor {
  void* data;
  int64_t shape[PACKPROOF_MAX_RANK];
  int64_t stride[PACKPROOF_MAX_RANK]; /* In elements; 0 and gaps are legal for inputs. */
  int32_t rank;
  int32_t dtype; /* packproof_dtype */
} packproof_tensor;

typedef struct packproof_packing {
  const void* cu_seqlens;      /* [num_seqs + 1] on the device, or null. */
  const void* cu_seqlens_host; /* The same values in host memory, or null (packproof_device_metadata). */
  const int32_t* seq_idx;      /* [B, T] contiguous on the device, or null. */
  const int32_t* seq_idx_host; /* The same values in host memory, or null. */
  int64_t num_seqs;
  int64_t total_tokens; /* Rows of the token tensors, slack included. */
  int64_t max_seqlen;   /* 0 when unknown. */
  int32_t cu_seqlens_dtype; /* PACKPROOF_I32 or PACKPROOF_I64. */
  int32_t reserved;
} packproof_packing;

/* y[t,c] = act(bias[c] + sum_j weight[c,j] x[t-W+1+j,c]); taps before the sequence read
 * initial_state (zeros without one). States are [N, C, W-1], oldest column first. */
typedef struct packproof_causal_conv1d_fwd_args {
  size_t struct_size;
  packproof_packing packing;
  packproof_tensor x;             /* [B, T, C] */
  packproof_tensor weight;        /* [C, W] */
  packproof_tensor bias;          /* [C], optional */
  packproof_tensor initial_state; /* [N, C, W-1], optional */
  packproof_tensor output;        /* [B, T, C] */
  packproof_tensor final_state;   /* [N, C, W-1], optional */
  int32_t activation;             /* packproof_activation */
  int32_t reserved;
} packproof_causal_conv1d_fwd_args;

typedef struct packproof_causal_conv1d_bwd_args {
  size_t struct_size;
  packproof_packing packing;
  packproof_tensor x, weight, bias, initial_state; /* As forward. */
  packproof_tensor d_output;                       /* [B, T, C] */
  packproof_tensor d_final_state;                  /* [N, C, W-1], optional */
  packproof_tensor d_x, d_weight, d_bias, d_initial_state; /* Absent = not wanted. */
  int32_t activation;
  int32_t reserved;
} packproof_causal_conv1d_bwd_args;

/* One token per sequence. conv_state is read and shifted in place; state_indices[n] = -1 leaves
 * every slot untouched and writes a zero output row. */
typedef struct packproof_causal_conv1d_update_args {
  size_t struct_size;
  packproof_tensor x;             /* [N, C] */
  packproof_tensor weight;        /* [C, W] */
  packproof_tensor bias;          /* [C], optional */
  packproof_tensor conv_state;    /* [S, C, W-1], in and out */
  packproof_tensor state_indices; /* [N] i32, optional: slot n without it */
  const int32_t* state_indices_host; /* The same values in host memory, or null. */
  packproof_tensor output;        /* [N, C] */
  int32_t activation;
  int32_t reserved;
} packproof_causal_conv1d_update_args;

/* The gated delta rule (decay, predict, correct, read), per sequence and value head:
 *   S~ = exp(g) S; delta = beta (v - S~^T k); S = S~ + k delta^T; o = scale S^T q.
 * Used by the recurrent and the chunked op. Value head h reads key head h / (Hv / Hk). The gate is
 * `g`, or, when g is absent, -exp(A_log) softplus(a + dt_bias). */
typedef struct packproof_gated_delta_rule_fwd_args {
  size_t struct_size;
  packproof_packing packing;
  packproof_tensor q, k;          /* [B, T, Hk, K] */
  packproof_tensor v;             /* [B, T, Hv, V] */
  packproof_tensor g;             /* [B, T, Hv] f32, or absent */
  packproof_tensor a;             /* [B, T, Hv], with A_log and dt_bias [Hv] f32, or absent */
  packproof_tensor A_log, dt_bias;
  packproof_tensor beta;          /* [B, T, Hv], already a sigmoid */
  packproof_tensor initial_state; /* [N, Hv, K, V] f32, optional */
  packproof_tensor output;        /* [B, T, Hv, V] */
  packproof_tensor final_state;   /* [N, Hv, K, V] f32, optional */
  float scale;                    /* 0 means K^-1/2 */
  int32_t qk_l2norm;              /* 1: q, k are normalised here, x (sum x^2 + 1e-6)^-1/2 */
  int32_t chunk_size;             /* Chunked op; 0 lets the kernel choose. */
  int32_t reserved;
  /* PACKPROOF_FEATURE_STATE_POOL: instead of initial_state and final_state, states that are read
   * and replaced where they stand. */
  packproof_tensor state;         /* [S, Hv, K, V] f32, in and out, optional */
  packproof_tensor state_indices; /* [N] i32, optional: slot n without it; -1: the sequence starts
                                   * from zeros and its final state is not kept */
  const int32_t* state_indices_host; /* The same values in host memory, or null. */
} packproof_gated_delta_rule_fwd_args;

typedef struct packproof_gated_delta_rule_bwd_args {
  size_t struct_size;
  packproof_packing packing;
  packproof_tensor q, k, v, g, a, A_log, dt_bias, beta, initial_state; /* As forward. */
  packproof_tensor d_output;      /* [B, T, Hv, V] */
  packproof_tensor d_final_state; /* [N, Hv, K, V] f32, optional */
  packproof_tensor d_q, d_k, d_v, d_g, d_a, d_A_log, d_dt_bias, d_beta, d_initial_state;
  float scale; /* As forward, here and in the other structs: 0 means K^-1/2 (attention: D^-1/2). */
  int32_t qk_l2norm;
  int32_t chunk_size;
  int32_t reserved;
} packproof_gated_delta_rule_bwd_args;

/* One token per sequence against a pool of states, updated in place. */
typedef struct packproof_gated_delta_rule_update_args {
  size_t struct_size;
  packproof_tensor q, k;          /* [N, Hk, K] */
  packproof_tensor v;             /* [N, Hv, V] */
  packproof_tensor g;             /* [N, Hv] f32, or absent */
  packproof_tensor a;             /* [N, Hv], with A_log and dt_bias [Hv] f32, or absent */
  packproof_tensor A_log, dt_bias;
  packproof_tensor beta;          /* [N, Hv] */
  packproof_tensor state;         /* [S, Hv, K, V] f32, in and out */
  packproof_tensor state_indices; /* [N] i32, optional; -1 skips: zero output, no slot touched */
  const int32_t* state_indices_host;
  packproof_tensor output;        /* [N, Hv, V] */
  float scale;
  int32_t qk_l2norm;
} packproof_gated_delta_rule_update_args;

/* y = weight * x (mean(x^2) + eps)^-1/2 * silu(z), per row. */
typedef struct packproof_gated_rms_norm_fwd_args {
  size_t struct_size;
  packproof_tensor x, z;   /* [R, D] */
  packproof_tensor weight; /* [D] */
  packproof_tensor output; /* [R, D] */
  float eps;
  int32_t reserved;
} packproof_gated_rms_norm_fwd_args;

typedef struct packproof_gated_rms_norm_bwd_args {
  size_t struct_size;
  packproof_tensor x, z, weight, d_output;
  packproof_tensor d_x, d_z, d_weight;
  float eps;
  int32_t reserved;
} packproof_gated_rms_norm_bwd_args;

/* y = x (mean(x^2) + eps)^-1/2 (1 + weight), per row. */
typedef struct packproof_rms_norm_fwd_args {
  size_t struct_size;
  packproof_tensor x;      /* [R, D] */
  packproof_tensor weight; /* [D] */
  packproof_tensor output; /* [R, D] */
  float eps;
  int32_t reserved;
} packproof_rms_norm_fwd_args;

typedef struct packproof_rms_norm_bwd_args {
  size_t struct_size;
  packproof_tensor x, weight, d_output;
  packproof_tensor d_x, d_weight;
  float eps;
  int32_t reserved;
} packproof_rms_norm_bwd_args;

/* y = x (sum(x^2) + eps)^-1/2, per row. */
typedef struct packproof_l2norm_fwd_args {
  size_t struct_size;
  packproof_tensor x;      /* [R, D] */
  packproof_tensor output; /* [R, D] */
  float eps;
  int32_t reserved;
} packproof_l2norm_fwd_args;

typedef struct packproof_l2norm_bwd_args {
  size_t struct_size;
  packproof_tensor x, d_output;
  packproof_tensor d_x;
  float eps;
  int32_t reserved;
} packproof_l2norm_bwd_args;

/* g = -exp(A_log) softplus(a + dt_bias), beta = sigmoid(b). */
typedef struct packproof_delta_rule_gate_fwd_args {
  size_t struct_size;
  packproof_tensor a, b;           /* [R, Hv] */
  packproof_tensor A_log, dt_bias; /* [Hv] f32 */
  packproof_tensor g;              /* [R, Hv] f32 */
  packproof_tensor beta;           /* [R, Hv] */
} packproof_delta_rule_gate_fwd_args;

typedef struct packproof_delta_rule_gate_bwd_args {
  size_t struct_size;
  packproof_tensor a, b, A_log, dt_bias;
  packproof_tensor d_g, d_beta;
  packproof_tensor d_a, d_b, d_A_log, d_dt_bias;
} packproof_delta_rule_gate_bwd_args;

/* Half-split rotary embedding of the first rotary_dim components; the rest pass through. */
typedef struct packproof_rope_fwd_args {
  size_t struct_size;
  packproof_tensor x;            /* [B, T, H, D] */
  packproof_tensor position_ids; /* [B, T] i64 */
  packproof_tensor output;       /* [B, T, H, D] */
  double theta;
  int32_t rotary_dim;
  int32_t reserved;
} packproof_rope_fwd_args;

typedef struct packproof_rope_bwd_args {
  size_t struct_size;
  packproof_tensor position_ids, d_output;
  packproof_tensor d_x;
  double theta;
  int32_t rotary_dim;
  int32_t reserved;
} packproof_rope_bwd_args;

/* Causal softmax attention inside each sequence; query head h reads key head h / (Hq / Hkv). */
typedef struct packproof_varlen_attention_fwd_args {
  size_t struct_size;
  packproof_packing packing;
  packproof_tensor q;      /* [B, T, Hq, D] */
  packproof_tensor k, v;   /* [B, T, Hkv, D] */
  packproof_tensor output; /* [B, T, Hq, D] */
  packproof_tensor lse;    /* [B, T, Hq] f32, optional: log of the softmax denominator */
  float scale;             /* 0 means D^-1/2 */
  int32_t reserved;
} packproof_varlen_attention_fwd_args;

typedef struct packproof_varlen_attention_bwd_args {
  size_t struct_size;
  packproof_packing packing;
  packproof_tensor q, k, v, output, lse, d_output; /* output and lse optional */
  packproof_tensor d_q, d_k, d_v;
  float scale;
  int32_t reserved;
} packproof_varlen_attention_bwd_args;

/* y = x * sigmoid(gate). */
typedef struct packproof_output_gate_fwd_args {
  size_t struct_size;
  packproof_tensor x, gate; /* [R, D] */
  packproof_tensor output;  /* [R, D] */
} packproof_output_gate_fwd_args;

typedef struct packproof_output_gate_bwd_args {
  size_t struct_size;
  packproof_tensor x, gate, d_output;
  packproof_tensor d_x, d_gate;
} packproof_output_gate_bwd_args;

/* y = silu(gate) * up. */
typedef struct packproof_swiglu_fwd_args {
  size_t struct_size;
  packproof_tensor gate, up; /* [R, D] */
  packproof_tensor output;   /* [R, D] */
} packproof_swiglu_fwd_args;

typedef struct packproof_swiglu_bwd_args {
  size_t struct_size;
  packproof_tensor gate, up, d_output;
  packproof_tensor d_gate, d_up;
} packproof_swiglu_bwd_args;

typedef enum packproof_op {
  PACKPROOF_CAUSAL_CONV1D = 0,
  PACKPROOF_CAUSAL_CONV1D_UPDATE = 1,
  PACKPROOF_RECURRENT_GATED_DELTA_RULE = 2,
  PACKPROOF_RECURRENT_GATED_DELTA_RULE_UPDATE = 3,
  PACKPROOF_CHUNK_GATED_DELTA_RULE = 4,
  PACKPROOF_GATED_RMS_NORM = 5,
  PACKPROOF_RMS_NORM = 6,
  PACKPROOF_L2NORM = 7,
  PACKPROOF_DELTA_RULE_GATE = 8,
  PACKPROOF_ROPE = 9,
  PACKPROOF_VARLEN_ATTENTION = 10,
  PACKPROOF_OUTPUT_GATE = 11,
  PACKPROOF_SWIGLU = 12
} packproof_op;

typedef enum packproof_direction { PACKPROOF_FORWARD = 0, PACKPROOF_BACKWARD = 1 } packproof_direction;

/* What a row does with metadata that come on the device alone (cu_seqlens_host, seq_idx_host or
 * state_indices_host null). Contents are otherwise checked from the host copies. */
typedef enum packproof_device_metadata {
  PACKPROOF_CONTENTS_CHECKED = 0,  /* It refuses the call, or checks the contents on the device. */
  PACKPROOF_CONTENTS_UNCHECKED = 1 /* It trusts them: packproof validates them before the call. */
} packproof_device_metadata;

/* Optional fields at the end of argument structs that the rows of a library read, or refuse in
 * `unsupported_reason`. packproof leaves the fields of other features empty. */
typedef enum packproof_feature {
  PACKPROOF_FEATURE_STATE_POOL = 1 /* state, state_indices of packproof_gated_delta_rule_fwd_args */
} packproof_feature;

/* One kernel: op, direction and variant. `args` points to the op's argument struct. Functions must
 * not allocate device memory, synchronise, or use another stream. */
typedef struct packproof_kernel {
  size_t struct_size;
  int32_t op;        /* packproof_op */
  int32_t direction; /* packproof_direction */
  const char* variant;
  /* Why this row can't take these arguments: null when it can. PACKPROOF_NOT_SUPPORTED follows. The
   * returned sentence stays valid until the next call from the same thread. `sm` is the current
   * device's 10 major + minor (90 for compute capability 9.0); 0 on the host. */
  const char* (*unsupported_reason)(const void* args, int32_t sm);
  /* Bytes of workspace that `launch` needs for these arguments; any number for those it refuses. */
  size_t (*workspace_size)(const void* args);
  /* Checks the arguments, then enqueues the work on `stream` (ignored on the host). On any status
   * but PACKPROOF_OK `message` holds one sentence; on PACKPROOF_NOT_SUPPORTED and
   * PACKPROOF_INVALID_ARGUMENT nothing was launched or written. After the others outputs, and states
   * updated in place, may be written in part. A captured CUDA graph is good for the lengths of its
   * host copies; where they are null, for any. */
  packproof_status (*launch)(const void* args, void* workspace, size_t workspace_bytes,
                             void* stream, packproof_message* message);
  int32_t device_metadata; /* packproof_device_metadata */
  uint32_t dtypes; /* 1 << packproof_dtype for each storage type that the row takes; 0: every one. */
} packproof_kernel;

typedef struct packproof_library {
  size_t struct_size;
  int32_t abi_version; /* PACKPROOF_ABI_VERSION */
  int32_t device;      /* packproof_device */
  const char* name;
  const char* version;
  int64_t num_kernels;
  const packproof_kernel* kernels; /* Selection is the first row that supports the arguments. */
  /* 1: a sequence's bits do not depend on neighbours, order, position or right padding. */
  int32_t bitwise_pack_invariant;
  uint32_t features; /* packproof_feature bits; 0 for a library that knows none of them */
  /* Host execution only, may be null: seeds the order in which threads run (0 = natural order). */
  void (*set_schedule)(uint64_t seed);
} packproof_library;

/* The one exported symbol. */
PACKPROOF_EXPORT const packproof_library* packproof_kernel_library(void);

typedef const packproof_library* (*packproof_kernel_library_fn)(void);

#ifdef __cplusplus
}
#endif

#endif
