#pragma once

#include "kernels/common/lanes.cuh"
#include "kernels/common/load_store.cuh"
#include "kernels/common/platform.cuh"
#include "kernels/common/reduce.cuh"

#include <cstdint>

namespace packproof {

/// How the K values of one state column lie in threads: kLanesPerColumn neighbouring threads hold
/// kElements values each. K up to kKeySize is served; the excess stays zero.
template <int kElementsPerThread, int kThreadsPerColumn>
struct DeltaRuleConfig {
  static constexpr int kElements = kElementsPerThread;
  static constexpr int kLanesPerColumn = kThreadsPerColumn;
  static constexpr int kKeySize = kElements * kLanesPerColumn;
  static constexpr int kMaxThreads = 128;
  static constexpr int kMaxColumns = kMaxThreads / kLanesPerColumn;
};

/// One column of a head's state S [K, V], in registers, and the recurrence of spec 3.1 on it.
///
/// Thread `lane` of the column holds key elements 8 (j kLanesPerColumn + lane) + 0..7 for every j:
/// the eights of neighbouring threads are neighbours in memory, hence in different banks.
template <typename Config>
class DeltaRuleColumn {
 public:
  __device__ __forceinline__ explicit DeltaRuleColumn(int lane) : lane_(lane) {}

  __device__ __forceinline__ void set_zero() {
#pragma unroll
    for (int j = 0; j < kNumEights; ++j) state_[j] = all_lanes(0.0f);
  }

  /// Reads element k from column[k * stride] for k < head_k_dim.
  __device__ __forceinline__ void load(const float* column, int64_t stride, int head_k_dim) {
#pragma unroll
    for (int j = 0; j < kNumEights; ++j) {
      float values[kNumLanes];
#pragma unroll
      for (int i = 0; i < kNumLanes; ++i) {
        const int k = first_of_eight(j) + i;
        values[i] = k < head_k_dim ? column[k * stride] : 0.0f;
      }
      state_[j] = pack(values);
    }
  }

  __device__ __forceinline__ void store(float* column, int64_t stride, int head_k_dim) const {
#pragma unroll
    for (int j = 0; j < kNumEights; ++j) {
      float values[kNumLanes];
      unpack(state_[j], values);
#pragma unroll
      for (int i = 0; i < kNumLanes; ++i) {
        const int k = first_of_eight(j) + i;
        if (k < head_k_dim) column[k * stride] = values[i];
      }
    }
  }

  /// S~_t = exp(g_t) S_{t-1}; returns rho_t = S~_t^T k_t of this column.
  __device__ __forceinline__ float decay_and_predict(float decay, const float* k) {
    Lanes rho = all_lanes(0.0f);
#pragma unroll
    for (int j = 0; j < kNumEights; ++j) {
      state_[j] = multiply(decay, state_[j]);
      rho = multiply_add(state_[j], load_lanes(k + first_of_eight(j)), rho);
    }
    return sum_over_column(rho);
  }

  /// S_t = S~_t + k_t delta_t^T; returns S_t^T q_t of this column.
  __device__ __forceinline__ float correct_and_read(float delta, const float* k, const float* q) {
    // Kept from the prediction, k would fill as many registers as the state, and spill.
    load_again();
    const Lanes delta_lanes = all_lanes(delta);
    Lanes read = all_lanes(0.0f);
#pragma unroll
    for (int j = 0; j < kNumEights; ++j) {
      state_[j] = multiply_add(load_lanes(k + first_of_eight(j)), delta_lanes, state_[j]);
      read = multiply_add(state_[j], load_lanes(q + first_of_eight(j)), read);
    }
    return sum_over_column(read);
  }

 private:
  static constexpr int kNumEights = Config::kElements / kNumLanes;

  __device__ __forceinline__ int first_of_eight(int j) const {
    return kNumLanes * (j * Config::kLanesPerColumn + lane_);
  }

  __device__ __forceinline__ static float sum_over_column(const Lanes& lanes) {
    if constexpr (Config::kLanesPerColumn == 1) {
      return sum(lanes);
    } else {
      return warp_sum<Config::kLanesPerColumn>(sum(lanes));
    }
  }

  Lanes state_[kNumEights];
  int lane_;
};

}  // namespace packproof
