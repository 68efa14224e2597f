#pragma once

#include "harness/core/op_call.h"

#include <cstdint>
#include <string>
#include <vector>

namespace packproof {

/// What an op of a candidate takes; the defaults take everything. A call beyond the limits may be
/// refused; one that is accepted and wrong is a failure of its own kind.
struct CapabilityLimits {
  bool grouped_heads = true;    ///< Hv > Hk.
  bool empty_sequences = true;  ///< Sequences without a token.
  bool initial_state = true;
  bool state_pool = false;  ///< Delta rule of whole sequences on a pool: it must be named.
  bool packed = true;       ///< cu_seqlens or seq_idx.
  std::vector<int64_t> head_k_dims{};  ///< Accepted K; empty: any.
  std::vector<int64_t> head_v_dims{};  ///< Accepted V; empty: any.
  int64_t max_head_k_dim = 0;          ///< Largest K; 0: any.
  int64_t max_head_v_dim = 0;          ///< Largest V; 0: any.

  bool operator==(const CapabilityLimits&) const = default;
};

/// A loss of precision that the candidate declares: intermediates of calls of `dtype` are rounded to
/// `unit_roundoff` (2^-11 for f16 and tf32, 2^-8 for bf16) where budgets count on float32's 2^-24.
struct Approximation {
  DType dtype = DType::kF32;
  double unit_roundoff = 0.0;
  std::string what;  ///< Which intermediates; the report shows it.

  bool operator==(const Approximation&) const = default;
};

/// What a candidate says of one op and direction when it is asked once, at the start.
struct Capability {
  Op op = Op::kCausalConv1d;
  Direction direction = Direction::kForward;
  std::vector<DType> dtypes;
  std::vector<std::string> variants;
  CapabilityLimits limits{};
  std::vector<Approximation> approximations{};

  /// The declared roundoff of calls of `dtype`, 2^-24 without a declaration.
  double unit_roundoff(DType dtype) const;

  /// The i-th declared dtype of those that cases have (f32, f16, bf16), in turn; f32 without one.
  DType case_dtype(uint64_t i) const;

  /// What of a call of `dtype` lies beyond the declaration, as a clause ("f32 is not declared",
  /// "grouped heads are not declared: Hk = 1, Hv = 2"); empty when nothing does.
  std::string beyond(DType dtype, const OpCall& call) const;
};

/// Which limit the call exceeds, as a clause ("grouped heads are not declared: Hk = 1, Hv = 2");
/// empty when it lies within all.
std::string beyond_limits(const CapabilityLimits& limits, const OpCall& call);

}  // namespace packproof
