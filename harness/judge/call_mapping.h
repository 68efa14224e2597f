#pragma once

#include "harness/core/op_call.h"
#include "harness/core/result.h"
#include "harness/judge/capture_file.h"
#include "harness/judge/sequences.h"

#include <cstdint>
#include <string>

namespace packproof {

/// A captured call in packproof's names and layouts (kernel_abi.h), rows as [B, T, ..].
struct MappedCall {
  Op op = Op::kCausalConv1d;
  OpAttributes attributes;
  int64_t batch = 0;
  int64_t length = 0;
  TensorMap inputs;     ///< Without metadata.
  TensorMap outputs;    ///< What it returned: output, final_state.
  TensorMap upstream;   ///< d_output, d_final_state; empty where no gradient arrived.
  TensorMap gradients;  ///< What it gave back: d_x, ..

  std::string metadata;  ///< The argument that would say where sequences begin: "seq_idx".
  std::string remedy;    ///< How the library's own pipeline gives it.
  bool given = false;    ///< Whether it was given; then `received` is what it says.
  Sequences received;    ///< What the call was told: `metadata`, or every row a sequence.

  double forward_roundoff = 0x1p-24;  ///< Of intermediates (declared approximations).
  double backward_roundoff = 0x1p-24;
  std::string approximation;  ///< Says why a roundoff is larger than float32's, for reports.

  int64_t rows() const { return batch * length; }
};

/// Maps the arguments of FLA's rules and convolution, causal_conv1d_fn, transformers' torch code for
/// them, its sdpa and eager attention, and flash_attn's functions. The error's sentence says why a
/// call cannot be judged.
Result<MappedCall> map_call(const CapturedCall& call);

// By op; map_call chooses.
Result<MappedCall> map_delta_rule(const CapturedCall& call, Op op);
Result<MappedCall> map_convolution(const CapturedCall& call);
Result<MappedCall> map_attention(const CapturedCall& call);

}  // namespace packproof
