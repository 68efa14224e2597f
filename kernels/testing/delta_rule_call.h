#pragma once

#include "kernels/testing/loaded_library.h"
#include "kernels/testing/test_packing.h"
#include "kernels/testing/test_tensor.h"

#include <cstdint>
#include <string>

namespace packproof {

/// Sizes of a delta rule call in tests.
struct DeltaRuleShape {
  int64_t num_k_heads = 1;
  int64_t num_v_heads = 2;
  int64_t head_k_dim = 16;
  int64_t head_v_dim = 16;
};

/// Tensors of one forward call in tests. `g` and (`a`, `A_log`, `dt_bias`) exclude each other.
struct DeltaRuleCall {
  packproof_packing packing{};
  TestTensor q, k, v, g, a, A_log, dt_bias, beta, initial_state, output, final_state;
  TestTensor state, state_indices;  ///< A pool instead of initial_state and final_state.
  float scale = 0.0f;
  int32_t qk_l2norm = 1;
  packproof_op op = PACKPROOF_RECURRENT_GATED_DELTA_RULE;
  std::string variant;  ///< Empty: the first that supports the call.

  static constexpr double kUntouched = -77.0;

  /// Random values with slow gates and states; the output holds kUntouched.
  static DeltaRuleCall random(const packproof_packing& packing, int64_t num_batches,
                              int64_t row_length, const DeltaRuleShape& shape, int32_t dtype,
                              uint64_t seed = 0) {
    seed *= 100;
    const auto [k_heads, v_heads, k_dim, v_dim] = shape;
    DeltaRuleCall call;
    call.packing = packing;
    call.q = TestTensor::random(dtype, {num_batches, row_length, k_heads, k_dim}, seed + 1);
    call.k = TestTensor::random(dtype, {num_batches, row_length, k_heads, k_dim}, seed + 2);
    call.v = TestTensor::random(dtype, {num_batches, row_length, v_heads, v_dim}, seed + 3);
    call.g =
        TestTensor::random(PACKPROOF_F32, {num_batches, row_length, v_heads}, seed + 4, -0.05, 0.0);
    call.beta = TestTensor::random(dtype, {num_batches, row_length, v_heads}, seed + 5, 0.1, 0.9);
    call.initial_state =
        TestTensor::random(PACKPROOF_F32, {packing.num_seqs, v_heads, k_dim, v_dim}, seed + 6);
    call.output = TestTensor(dtype, {num_batches, row_length, v_heads, v_dim});
    call.output.fill(kUntouched);
    call.final_state = TestTensor(PACKPROOF_F32, {packing.num_seqs, v_heads, k_dim, v_dim});
    return call;
  }

  /// The same for the chunked op.
  static DeltaRuleCall chunked(const packproof_packing& packing, int64_t num_batches,
                               int64_t row_length, const DeltaRuleShape& shape, int32_t dtype,
                               uint64_t seed = 0) {
    DeltaRuleCall call = random(packing, num_batches, row_length, shape, dtype, seed);
    call.op = PACKPROOF_CHUNK_GATED_DELTA_RULE;
    return call;
  }

  /// Rows first .. first + length - 1 of sequence n of a chunked call, as a call of their own.
  DeltaRuleCall part(int64_t n, int64_t first, int64_t length) const {
    const DeltaRuleShape shape{q.shape()[2], v.shape()[2], q.shape()[3], v.shape()[3]};
    DeltaRuleCall part = chunked(dense_packing(1, length), 1, length, shape, q.dtype());
    part.q = q.slice(1, first, length);
    part.k = k.slice(1, first, length);
    part.v = v.slice(1, first, length);
    part.g = g.slice(1, first, length);
    part.beta = beta.slice(1, first, length);
    part.initial_state = initial_state.present() ? initial_state.slice(0, n, 1) : TestTensor();
    part.qk_l2norm = qk_l2norm;
    part.variant = variant;
    return part;
  }

  packproof_gated_delta_rule_fwd_args args() const {
    packproof_gated_delta_rule_fwd_args args{};
    args.struct_size = sizeof(args);
    args.packing = packing;
    args.q = q.view();
    args.k = k.view();
    args.v = v.view();
    args.g = g.view();
    args.a = a.view();
    args.A_log = A_log.view();
    args.dt_bias = dt_bias.view();
    args.beta = beta.view();
    args.initial_state = initial_state.view();
    args.output = output.view();
    args.final_state = final_state.view();
    args.state = state.view();
    args.state_indices = state_indices.view();
    args.state_indices_host = static_cast<const int32_t*>(args.state_indices.data);
    args.scale = scale;
    args.qk_l2norm = qk_l2norm;
    return args;
  }

  LaunchResult launch(const packproof_library& library = fastest_library()) const {
    return launch_on(library, op, args(), variant);
  }
};

}  // namespace packproof
