#include "reference/delta_rule_state_pool.h"

#include <algorithm>
#include <utility>

namespace packproof::reference {
namespace {

/// Copies block `from` of `source` to block `to` of `target`; a block is one state.
void copy_state(const Tensor& source, int64_t from, Tensor& target, int64_t to, int64_t size) {
  const double* const begin = source.values<double>().data() + from * size;
  std::copy_n(begin, size, target.values<double>().data() + to * size);
}

}  // namespace

Result<StatePool> StatePool::read(const OpCallReader& reader, std::vector<int64_t> slots,
                                  const DeltaRuleProblem& problem) {
  PACKPROOF_TRY(const std::vector<int64_t> given, reader.shape("state", 4));
  const std::vector<int64_t> shape{given[0], problem.value_heads, problem.key_dim,
                                   problem.value_dim};
  OwnedRows used(static_cast<std::size_t>(given[0]), false);
  for (const int64_t slot : slots) {
    if (slot >= 0) used[static_cast<std::size_t>(slot)] = true;
  }
  PACKPROOF_TRY(const Tensor checked, reader.values("state", shape, used));
  PACKPROOF_CHECK_OK(reader.check_output("state", shape));
  StatePool pool;
  pool.slots_ = std::move(slots);
  pool.states_ = reader.call().input("state").to(DType::kF64);
  pool.size_ = problem.value_heads * problem.state_size();
  return pool;
}

Tensor StatePool::initial_states() const {
  std::vector<int64_t> shape = states_.shape();
  shape[0] = static_cast<int64_t>(slots_.size());
  Tensor states(DType::kF64, shape);
  for (std::size_t n = 0; n < slots_.size(); ++n) {
    if (slots_[n] < 0) continue;
    copy_state(states_, slots_[n], states, static_cast<int64_t>(n), size_);
  }
  return states;
}

Tensor StatePool::updated(const Tensor& final_states) const { return with(states_, final_states); }

Tensor StatePool::spread(const Tensor& bounds) const {
  return with(Tensor(DType::kF64, states_.shape()), bounds);
}

Tensor StatePool::with(Tensor pool, const Tensor& states) const {
  for (std::size_t n = 0; n < slots_.size(); ++n) {
    if (slots_[n] < 0) continue;
    copy_state(states, static_cast<int64_t>(n), pool, slots_[n], size_);
  }
  return pool;
}

Result<StatePool> read_state_pool(const OpCallReader& reader, const DeltaRuleProblem& problem) {
  if (reader.has("initial_state") || reader.wants("final_state")) {
    return reader.refusal(
        "expected either 'state' or 'initial_state' and 'final_state', found both");
  }
  PACKPROOF_TRY(const std::vector<int64_t> shape, reader.shape("state", 4));
  PACKPROOF_TRY(std::vector<int64_t> slots, reader.slots(problem.num_seqs(), shape[0]));
  return StatePool::read(reader, std::move(slots), problem);
}

}  // namespace packproof::reference
