#include "harness/worker/metadata.h"

#include "harness/core/packing.h"

#include <optional>
#include <set>
#include <vector>

namespace packproof {
namespace {

std::vector<int64_t> values_of(const Tensor& tensor) {
  std::vector<int64_t> values;
  values.reserve(static_cast<std::size_t>(tensor.numel()));
  for (int64_t i = 0; i < tensor.numel(); ++i) values.push_back(tensor.int_at(i));
  return values;
}

const Tensor* find_input(const OpCall& call, TensorRole role) {
  for (const TensorSchema& schema : schema_of(call.op, call.direction)) {
    const std::string name(schema.name);
    if (!schema.output && schema.role == role && call.has(name)) return &call.input(name);
  }
  return nullptr;
}

Status named(const char* tensor, const Status& status) {
  if (status.ok()) return status;
  return Error{status.error().code, std::string(tensor) + ": " + status.error().message};
}

template <typename Value>
Status status_of(const Result<Value>& result) {
  if (result.ok()) return {};
  return result.error();
}

/// Slots within the pool, none twice: two sequences would race for its state.
Status validate_slots(const Tensor& indices, int64_t slots) {
  std::set<int64_t> taken;
  for (const int64_t slot : values_of(indices)) {
    if (slot < -1 || slot >= slots) {
      return invalid_input("state_indices: expected slots from -1 to " + std::to_string(slots - 1) +
                           ", found " + std::to_string(slot));
    }
    if (slot >= 0 && !taken.insert(slot).second) {
      return invalid_input("state_indices: expected every slot once, found " +
                           std::to_string(slot) + " twice");
    }
  }
  return {};
}

}  // namespace

Status validate_metadata(const OpCall& call) {
  const Tensor* tokens = find_input(call, TensorRole::kToken);
  if (call.has("cu_seqlens") && tokens != nullptr && tokens->rank() >= 2) {
    PACKPROOF_CHECK_OK(
        named("cu_seqlens", status_of(Packing::from_cu_seqlens(values_of(call.input("cu_seqlens")),
                                                               tokens->dim(0) * tokens->dim(1)))));
  }
  if (call.has("seq_idx")) {
    PACKPROOF_CHECK_OK(
        named("seq_idx", status_of(Packing::from_seq_idx(values_of(call.input("seq_idx"))))));
  }
  const Tensor* pool = find_input(call, TensorRole::kPool);
  if (call.has("state_indices") && pool != nullptr) {
    PACKPROOF_CHECK_OK(validate_slots(call.input("state_indices"), pool->dim(0)));
  }
  return {};
}

}  // namespace packproof
