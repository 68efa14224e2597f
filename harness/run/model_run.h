#pragma once

#include "harness/candidate/candidate.h"
#include "harness/core/packing.h"
#include "reference/reference.h"

#include <vector>

namespace packproof {

/// Answers calls by the definition, rounded to the dtypes that the call asks for.
class ReferenceCandidate : public Candidate {
 public:
  explicit ReferenceCandidate(const reference::Reference& reference);

  const CandidateInfo& info() const override { return info_; }

  CallResult call(const OpCall& call, const CallOptions& options) override;

 private:
  const reference::Reference& reference_;
  CandidateInfo info_;
};

/// What a model gives for the tokens of a pack, in packed order.
struct ModelRun {
  std::vector<Tensor> hidden_states;  ///< f64 [T, D]: embeddings, then every layer.
  Tensor logits;                      ///< f64 [T, vocabulary].
};

/// Each sequence by itself: what any packed run must give.
Result<ModelRun> run_alone(const reference::Model& model, const Packing& packing,
                           const Tensor& input_ids, const reference::OpHook& hook = {});

/// One packed call.
Result<ModelRun> run_packed(const reference::Model& model, const Packing& packing,
                            const Tensor& input_ids, const reference::OpHook& hook = {});

}  // namespace packproof
