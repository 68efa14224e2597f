#include "harness/candidate/capability.h"

#include "harness/core/case_spec.h"

#include <algorithm>
#include <iterator>

namespace packproof {
namespace {

constexpr double kFloat32Roundoff = 0x1p-24;

std::string number(int64_t value) { return std::to_string(value); }

std::string list_text(const std::vector<int64_t>& values) {
  std::string text;
  for (const int64_t value : values) text += (text.empty() ? "" : ", ") + number(value);
  return text;
}

std::string beyond_size(const char* name, int64_t size, const std::vector<int64_t>& accepted,
                        int64_t largest) {
  const std::string found = std::string(name) + " = " + number(size);
  if (!accepted.empty() && std::ranges::find(accepted, size) == accepted.end()) {
    return found + " where " + list_text(accepted) + " is declared";
  }
  if (largest > 0 && size > largest) {
    return found + " where at most " + number(largest) + " is declared";
  }
  return {};
}

/// Number of the first sequence without a token, -1 without one.
int64_t first_empty(const OpCall& call) {
  if (!call.has("cu_seqlens")) return -1;
  const Tensor& bounds = call.input("cu_seqlens");
  for (int64_t n = 0; n + 1 < bounds.numel(); ++n) {
    if (bounds.int_at(n) == bounds.int_at(n + 1)) return n;
  }
  return -1;
}

}  // namespace

double Capability::unit_roundoff(DType dtype) const {
  double roundoff = kFloat32Roundoff;
  for (const Approximation& declared : approximations) {
    if (declared.dtype == dtype) roundoff = std::max(roundoff, declared.unit_roundoff);
  }
  return roundoff;
}

DType Capability::case_dtype(uint64_t i) const {
  std::vector<DType> known;
  std::ranges::copy_if(dtypes, std::back_inserter(known), [](DType dtype) {
    return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
  });
  return known.empty() ? DType::kF32 : known[i % known.size()];
}

std::string Capability::beyond(DType dtype, const OpCall& call) const {
  if (std::ranges::find(dtypes, dtype) == dtypes.end()) {
    return std::string(name_of(dtype)) + " is not declared";
  }
  return beyond_limits(limits, call);
}

std::string beyond_limits(const CapabilityLimits& limits, const OpCall& call) {
  if (!limits.packed && (call.has("cu_seqlens") || call.has("seq_idx"))) {
    return "packed calls are not declared";
  }
  if (!limits.initial_state && call.has("initial_state")) {
    return "initial states are not declared";
  }
  if (!limits.state_pool && call.has("state") && takes_state_pool(call.op, call.direction)) {
    return "state pools are not declared";
  }
  if (const int64_t n = first_empty(call); !limits.empty_sequences && n >= 0) {
    return "empty sequences are not declared: sequence " + number(n) + " has no token";
  }
  if (!call.has("q") || !call.has("v")) return {};
  const Tensor& q = call.input("q");
  const Tensor& v = call.input("v");
  const int64_t head = q.rank() - 2;
  const int64_t key_heads = q.dim(head);
  const int64_t value_heads = v.dim(head);
  if (!limits.grouped_heads && key_heads != value_heads) {
    return "grouped heads are not declared: Hk = " + number(key_heads) +
           ", Hv = " + number(value_heads);
  }
  const std::string key =
      beyond_size("K", q.dim(head + 1), limits.head_k_dims, limits.max_head_k_dim);
  if (!key.empty()) return key;
  return beyond_size("V", v.dim(head + 1), limits.head_v_dims, limits.max_head_v_dim);
}

}  // namespace packproof
