#pragma once

#include "harness/core/case_spec.h"
#include "harness/core/result.h"

#include <string>
#include <string_view>

/// Case lines: `op=causal_conv1d dtype=bf16 lens=0,3,64x2 w=3 seed=41`.
///
/// | field          | values                                      | default      | used by                          |
/// |----------------|---------------------------------------------|--------------|----------------------------------|
/// | op             | an op's name                                | (required)   | all                              |
/// | dir            | fwd, bwd                                    | fwd          | all; updates: fwd only           |
/// | dtype          | f32, f16, bf16                              | f32          | all                              |
/// | lens           | lengths; `LxN` repeats a length             | 1            | all; updates: 0 and 1            |
/// | slack          | rows after the last sequence; unused slots  | 0            | packed layout; updates           |
/// | layout         | packed, padded_left, padded_right           | packed       | token ops                        |
/// | pad            | extra padding columns                       | 0            | padded layouts                   |
/// | meta           | cu_seqlens, seq_idx, both                   | cu_seqlens   | causal_conv1d, packed            |
/// | cu             | i32, i64: dtype of cu_seqlens               | i32          | where cu_seqlens is given        |
/// | c              | channels                                    | 16           | convolutions                     |
/// | w              | conv width W                                | 4            | convolutions                     |
/// | bias           | 0, 1                                        | 0            | convolutions                     |
/// | act            | none, silu                                  | silu         | convolutions                     |
/// | hk             | key heads Hk                                | 1            | delta rules, attention, rope     |
/// | hv             | value heads Hv (rows per token)             | 2            | all but convolutions, rope       |
/// | k              | head size K                                 | 16           | delta rules, attention, rope     |
/// | v              | head size V (row length)                    | 16           | delta rules, row-wise ops        |
/// | gate           | default_init, slow, mixed_zeros, all_zero, strong, spike | slow | ops with gates            |
/// | gate_in_kernel | 0, 1: g from a, A_log, dt_bias              | 0            | delta rules                      |
/// | l2norm         | 0, 1                                        | 1            | delta rules                      |
/// | h0             | none, zero, random: initial state           | none         | conv, delta rules; not with meta=seq_idx |
/// | ht             | 0, 1: final state wanted                    | 1            | conv, delta rules; not with meta=seq_idx |
/// | stride         | contiguous, fused, unaligned                | contiguous   | all                              |
/// | variant        | a kernel variant's name                     | (any)        | all                              |
/// | seed           | 0 to 2^64 - 1                               | 0            | all                              |
///
/// Token ops: causal_conv1d, the two prefill delta rules, varlen_attention. Delta rules include the
/// update. Row-wise ops: gated_rms_norm, rms_norm, l2norm, output_gate, swiglu.
namespace packproof {

/// The canonical case line: fields in the table's order, defaults omitted except op, dtype, lens
/// and seed. A run of equal lengths prints as `LxN`.
std::string to_text(const CaseSpec& spec);

/// Parses a case line: fields in any order, each at most once, defaults for what is missing.
/// Parse and print are inverse: parse(to_text(s)) == s for every valid s. The result is valid.
/// Errors name the field, the text found and what is accepted.
Result<CaseSpec> parse_case(std::string_view text);

}  // namespace packproof
