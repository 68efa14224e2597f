#pragma once

#include "kernels/common/convert.cuh"
#include "kernels/common/dispatch.cuh"
#include "kernels/common/load_store.cuh"
#include "kernels/gated_delta_rule/delta_rule_column.cuh"
#include "kernels/gated_delta_rule/token_tile.cuh"
#include "packproof/kernel_abi.h"

#include <cstdint>

namespace packproof {

/// Blocks along the columns of a head: full warps, as few idle threads as that allows.
struct ColumnTiling {
  int num_tiles;
  int num_threads;
};

template <typename Config>
ColumnTiling tile_columns(int64_t head_v_dim) {
  const int columns = static_cast<int>(head_v_dim);
  const int num_tiles = (columns + Config::kMaxColumns - 1) / Config::kMaxColumns;
  const int columns_per_tile = (columns + num_tiles - 1) / num_tiles;
  const int threads = columns_per_tile * Config::kLanesPerColumn;
  return {num_tiles, (threads + 31) / 32 * 32};
}

/// The token tensors of forward (kSkipped = 0) or update (kSkipped = 1, no batch axis) arguments
/// that have been checked.
template <typename T, int kSkipped, typename Args>
DeltaRuleTokens<T> tokens_of(const Args& args) {
  const int64_t head_k_dim = args.q.shape[3 - kSkipped];
  DeltaRuleTokens<T> tokens{
      .q = view_of<const T, 4, kSkipped>(args.q),
      .k = view_of<const T, 4, kSkipped>(args.k),
      .v = view_of<const T, 4, kSkipped>(args.v),
      .g = view_of<const float, 3, kSkipped>(args.g),
      .a = view_of<const T, 3, kSkipped>(args.a),
      .A_log = view_of<const float, 1>(args.A_log),
      .dt_bias = view_of<const float, 1>(args.dt_bias),
      .beta = view_of<const T, 3, kSkipped>(args.beta),
      .head_k_dim = static_cast<int>(head_k_dim),
      .head_v_dim = static_cast<int>(args.v.shape[3 - kSkipped]),
      .heads_per_group = static_cast<int>(args.v.shape[2 - kSkipped] / args.q.shape[2 - kSkipped]),
      .qk_l2norm = args.qk_l2norm != 0,
      .scale = args.scale,
  };
  if (tokens.scale == 0.0f) tokens.scale = 1.0f / __builtin_sqrtf(static_cast<float>(head_k_dim));
  return tokens;
}

/// Where checked forward arguments have their states: in a pool, or as two tensors.
inline const packproof_tensor& initial_states_of(const packproof_gated_delta_rule_fwd_args& args) {
  return args.state.data != nullptr ? args.state : args.initial_state;
}

inline const packproof_tensor& final_states_of(const packproof_gated_delta_rule_fwd_args& args) {
  return args.state.data != nullptr ? args.state : args.final_state;
}

/// Calls run.operator()<T, Config>() for the storage type and key size of checked arguments.
template <typename Run>
packproof_status dispatch_delta_rule(int32_t dtype, int64_t head_k_dim, Run run) {
  return dispatch_dtype(dtype, [&]<typename T>() {
    if (head_k_dim <= 16) return run.template operator()<T, DeltaRuleConfig<16, 1>>();
    if (head_k_dim <= 32) return run.template operator()<T, DeltaRuleConfig<32, 1>>();
    if (head_k_dim <= 64) return run.template operator()<T, DeltaRuleConfig<64, 1>>();
    if (head_k_dim <= 128) return run.template operator()<T, DeltaRuleConfig<128, 1>>();
    return run.template operator()<T, DeltaRuleConfig<128, 2>>();
  });
}

}  // namespace packproof
