#pragma once

#include "harness/core/op_call.h"
#include "harness/core/result.h"
#include "reference/delta_rule_problem.h"
#include "reference/token_values.h"

#include <cstdint>
#include <string>
#include <vector>

namespace packproof::reference {

/// Which leading rows of a tensor belong to something; the others are not read. Empty: all do.
using OwnedRows = std::vector<bool>;

/// Boundaries of an op over tokens, as its metadata says (guide to the ops: harness/core/op_call.h).
struct TokenPacking {
  int64_t batch = 0;
  int64_t length = 0;               ///< Rows per batch entry, slack included.
  std::vector<int64_t> cu_seqlens;  ///< Empty: dense, or seq_idx that no boundaries fit.
  std::vector<int64_t> seq_idx;     ///< Empty when the call has none.
  std::vector<RowSpan> sequences;   ///< Token rows of every sequence.
  OwnedRows owned;                  ///< Per token row [batch * length].
  bool has_states = true;           ///< False when seq_idx alone does not define sequences.

  int64_t num_rows() const { return batch * length; }

  int64_t num_seqs() const { return static_cast<int64_t>(sequences.size()); }
};

/// Reads the tensors of an OpCall as contiguous f64, refusing whatever contradicts the op by name,
/// with what was expected and what was found.
class OpCallReader {
 public:
  explicit OpCallReader(const OpCall& call, bool bounds = true) : call_(call), bounds_(bounds) {}

  /// Whether bounds on the float32 error are wanted where they cost something.
  bool wants_bounds() const { return bounds_; }

  /// Every input and output is one that the op has, and the op has this direction.
  Status check_names() const;

  /// Shape of a required input of `rank` axes.
  Result<std::vector<int64_t>> shape(const std::string& name, int64_t rank) const;

  /// A contiguous f64 copy of an input. Rows that `owned` excludes read as zeros, whatever they
  /// hold; a NaN or infinity anywhere else is refused with its place.
  Result<Tensor> values(const std::string& name, const std::vector<int64_t>& shape,
                        const OwnedRows& owned = {}) const;

  /// The same for the large tensors of a call, contiguous ones where they lie: rows that `owned`
  /// excludes are then whatever they hold, for the caller not to read.
  Result<TokenValues> token_values(const std::string& name, const std::vector<int64_t>& shape,
                                   const OwnedRows& owned) const;

  /// Values of an integer input.
  Result<std::vector<int64_t>> integers(const std::string& name,
                                        const std::vector<int64_t>& shape) const;

  /// The requested output has this shape.
  Status check_output(const std::string& name, const std::vector<int64_t>& shape) const;

  bool has(const std::string& name) const { return call_.has(name); }

  bool wants(const std::string& name) const { return call_.outputs.contains(name); }

  Result<TokenPacking> packing(int64_t batch, int64_t length) const;

  /// Slot of every one of `count` sequences, -1 where it skips; the identity without state_indices.
  Result<std::vector<int64_t>> slots(int64_t count, int64_t num_slots) const;

  const OpCall& call() const { return call_; }

  /// "causal_conv1d bwd: " followed by the sentence.
  Error refusal(const std::string& sentence) const;

 private:
  Result<const Tensor*> input(const std::string& name) const;
  Result<const Tensor*> floating_input(const std::string& name,
                                       const std::vector<int64_t>& shape) const;
  Error not_finite(const std::string& name, const Tensor& tensor, const OwnedRows& owned) const;

  const OpCall& call_;
  bool bounds_;
};

}  // namespace packproof::reference
